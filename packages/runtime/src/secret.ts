import { inspect } from 'node:util';

/**
 * A value that must not be seen: it prints `[secret]` in strings, JSON, logs and `util.inspect`, and only `reveal()`
 * gives it. It survives no structured clone: a worker thread gets a secret only by being given what was revealed.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return '[secret]';
  }

  toJSON(): string {
    return '[secret]';
  }

  [inspect.custom](): string {
    return '[secret]';
  }
}
