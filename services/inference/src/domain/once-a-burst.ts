/**
 * Work that many changes ask for and one run does: at once after a quiet while, and then once a pause, however often it is
 * asked for in between.
 */
export class OnceABurst {
  readonly #work: () => void;
  readonly #pauseMs: number;
  #timer: NodeJS.Timeout | undefined;
  #isDue = false;

  constructor(work: () => void, pauseMs: number) {
    this.#work = work;
    this.#pauseMs = pauseMs;
  }

  ask(): void {
    if (this.#timer === undefined) this.now();
    else this.#isDue = true;
  }

  now(): void {
    clearTimeout(this.#timer);
    this.#isDue = false;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#isDue) this.now();
    }, this.#pauseMs).unref();
    this.#work();
  }

  /** Does what is due, and nothing after that by itself. */
  close(): void {
    if (this.#isDue) this.now();
    clearTimeout(this.#timer);
  }
}
