/** Reading the usual forms of JSON from bytes: whatever is written in another way is not taken, and is to be parsed. */

/** Bytes that JSON is made of. */
export const PUNCTUATION = {
  QUOTE: 34,
  COMMA: 44,
  COLON: 58,
  OPEN_LIST: 91,
  BACKSLASH: 92,
  CLOSE_LIST: 93,
  OPEN: 123,
  CLOSE: 125,
} as const;
const { QUOTE, BACKSLASH, COLON, COMMA, OPEN_LIST, CLOSE_LIST } = PUNCTUATION;

/** A place in JSON text of ASCII. */
export class JsonScan {
  readonly bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  get at(): number {
    return this.#at;
  }

  get isAtEnd(): boolean {
    this.#skipSpace();
    return this.#at === this.bytes.length;
  }

  moveTo(at: number): boolean {
    if (at < 0) return false;
    this.#at = at;
    return true;
  }

  /** Goes past this byte if it is next. */
  takes(byte: number): boolean {
    this.#skipSpace();
    if (this.bytes[this.#at] !== byte) return false;
    this.#at++;
    return true;
  }

  /** Goes past this text in quotes if it is next. */
  takesText(text: Buffer): boolean {
    this.#skipSpace();
    const { bytes } = this;
    const from = this.#at + 1;
    const end = from + text.length;
    if (bytes[from - 1] !== QUOTE || bytes[end] !== QUOTE) return false;
    for (let i = 0; i < text.length; i++) if (bytes[from + i] !== text[i]) return false;
    this.#at = end + 1;
    return true;
  }

  /** Goes past this key if it is next. */
  takesKey(key: Buffer): boolean {
    return this.takesText(key) && this.takes(COLON);
  }

  /** A string without escapes, of printable ASCII. */
  text(): string | undefined {
    if (!this.takes(QUOTE)) return undefined;
    const from = this.#at;
    for (let i = from; i < this.bytes.length; i++) {
      const byte = this.bytes[i] ?? 0;
      if (byte === QUOTE) {
        this.#at = i + 1;
        return this.bytes.toString('latin1', from, i);
      }
      if (byte === BACKSLASH || byte < 32 || byte > 126) return undefined;
    }
    return undefined;
  }

  /** A list of a few positive integers. */
  dimensions(): number[] | undefined {
    if (!this.takes(OPEN_LIST)) return undefined;
    const found: number[] = [];
    do {
      this.#skipSpace();
      let value = 0;
      const from = this.#at;
      for (let digit = this.#digit(); digit >= 0 && digit <= 9; digit = this.#digit()) {
        value = value * 10 + digit;
        this.#at++;
      }
      const digits = this.#at - from;
      if (digits === 0 || digits > 9 || this.bytes[from] === 48 || found.length === 8) return undefined;
      found.push(value);
    } while (this.takes(COMMA));
    return this.takes(CLOSE_LIST) ? found : undefined;
  }

  #digit(): number {
    return (this.bytes[this.#at] ?? 0) - 48;
  }

  #skipSpace(): void {
    let byte = this.bytes[this.#at];
    while (byte === 32 || byte === 10 || byte === 13 || byte === 9) byte = this.bytes[++this.#at];
  }
}
