/**
 * The memory that versions may hold together. Whoever loads one reserves its bytes first; where they do not fit, others
 * are asked to leave, and who needs more than is free waits in order until they have.
 */
import { AssayError } from '@assay/contracts';

export interface MemoryBudgetOptions {
  readonly maxBytes: number;
  /** Makes one version leave, which calls `leave` before it returns; false when none can leave now. */
  readonly evict: () => boolean;
}

interface Waiting {
  readonly bytes: number;
  readonly grant: () => void;
}

export class MemoryBudget {
  readonly #options: MemoryBudgetOptions;
  readonly #waiting: Waiting[] = [];
  #heldBytes = 0;
  /** Of `#heldBytes`: what will be free in a moment. */
  #leavingBytes = 0;

  constructor(options: MemoryBudgetOptions) {
    this.#options = options;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Whether anyone waits for others to leave, or more is held than may be. */
  get wantsRoom(): boolean {
    return this.#waiting.length > 0 || this.#isOver();
  }

  /**
   * Resolves when the bytes are the caller's, who gives them back by `leave` and `free`.
   * @throws FAILED_PRECONDITION when they are more than all that there is; rejects with the signal's reason
   */
  async reserve(bytes: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#checkFits(bytes);
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        reject(signal.reason);
        this.serve();
      };
      const waiting: Waiting = {
        bytes,
        grant: () => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(waiting);
      this.serve();
    });
  }

  /**
   * What was reserved turns out to be `bytes`. More is taken at once, since it is held already; others leave for it.
   * @throws FAILED_PRECONDITION when they are more than all that there is; `reserved` is then held as before
   */
  resize(reserved: number, bytes: number): void {
    if (reserved === bytes) return;
    this.#checkFits(bytes);
    this.#heldBytes += bytes - reserved;
    this.serve();
  }

  /** They will be free in a moment: nobody else has to leave for them. */
  leave(bytes: number): void {
    this.#leavingBytes += bytes;
  }

  free(bytes: number): void {
    this.#heldBytes -= bytes;
    this.#leavingBytes -= bytes;
    this.serve();
  }

  /** Grants what fits, in order, and evicts for the first that does not. To be called when a version may leave again. */
  serve(): void {
    const { maxBytes, evict } = this.#options;
    while (this.#isOver() && evict());
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      if (this.#heldBytes + first.bytes <= maxBytes) {
        this.#waiting.shift();
        this.#heldBytes += first.bytes;
        first.grant();
      } else if (this.#heldBytes - this.#leavingBytes + first.bytes <= maxBytes || !evict()) {
        return;
      }
    }
  }

  #isOver(): boolean {
    return this.#heldBytes - this.#leavingBytes > this.#options.maxBytes;
  }

  #checkFits(bytes: number): void {
    const { maxBytes } = this.#options;
    if (bytes <= maxBytes) return;
    throw new AssayError(
      'FAILED_PRECONDITION',
      `it takes about ${megabytes(bytes)} of memory, and all models together may take ${megabytes(maxBytes)}; raise ASSAY_INFERENCE_MODEL_MEMORY_BYTES`,
    );
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
