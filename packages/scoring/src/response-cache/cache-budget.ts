/** Bytes that several caches may hold together. Where they are used up, the one that holds most gives way. */

export interface Evictable {
  readonly bytes: number;
  /** @returns false when it is empty */
  evictOne(): boolean;
}

export class CacheBudget {
  maxBytes: number;
  usedBytes = 0;
  readonly #caches = new Set<Evictable>();

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  add(cache: Evictable): void {
    this.#caches.add(cache);
  }

  /** With all that it holds. */
  remove(cache: Evictable): void {
    this.#caches.delete(cache);
    this.usedBytes -= cache.bytes;
  }

  /** @returns whether so many bytes fit now; what never fits evicts nothing */
  makeRoom(bytes: number): boolean {
    if (bytes > this.maxBytes) return false;
    while (this.usedBytes + bytes > this.maxBytes) if (this.#largest()?.evictOne() !== true) return false;
    return true;
  }

  #largest(): Evictable | undefined {
    let largest: Evictable | undefined;
    for (const cache of this.#caches) if (cache.bytes > (largest?.bytes ?? 0)) largest = cache;
    return largest;
  }
}
