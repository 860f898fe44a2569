/**
 * An inference request in JSON that is written as one before it was, byte by byte, but for its numbers. Clients of one model
 * mostly repeat all else, and comparing it costs less than reading it.
 */
import { type InputBatch, scanFloats } from '@assay/scoring';

/** Where the numbers of a feature lie. */
export interface Numbers {
  readonly feature: string;
  /** Behind the opening bracket. */
  readonly from: number;
  /** Behind the closing one. */
  readonly end: number;
}

/** Longer ones are not kept: comparing them would take long too. */
const MAX_TEXT_BYTES = 4096;

export class KnownLayout {
  readonly rows: number;
  readonly #inputs: readonly { readonly feature: string; readonly before: Buffer }[];
  readonly #behind: Buffer;

  /** @returns undefined where there is too much to be compared */
  static of(body: Buffer, lists: readonly Numbers[], rows: number): KnownLayout | undefined {
    let textBytes = body.length;
    for (const { from, end } of lists) textBytes -= end - from;
    return textBytes > MAX_TEXT_BYTES ? undefined : new KnownLayout(body, lists, rows);
  }

  private constructor(body: Buffer, lists: readonly Numbers[], rows: number) {
    this.rows = rows;
    let at = 0;
    this.#inputs = lists.map(({ feature, from, end }) => {
      const before = Buffer.from(body.subarray(at, from));
      at = end;
      return { feature, before };
    });
    this.#behind = Buffer.from(body.subarray(at));
  }

  /**
   * Puts the rows into the batch; false: it does not, and nothing of the request stays in it.
   * @param body JSON whose last byte is no part of a number
   */
  take(body: Buffer, batch: InputBatch): boolean {
    let at = 0;
    for (const { feature, before } of this.#inputs) {
      if (!standsAt(before, body, at)) return false;
      const column = batch.floats(feature, this.rows);
      if (column === undefined) return false;
      at = scanFloats(body, at + before.length, column, this.rows);
      if (at < 0) return false;
    }
    if (at + this.#behind.length !== body.length || !standsAt(this.#behind, body, at)) return false;
    return batch.takeFloats(this.rows, this.#inputs.length);
  }
}

function standsAt(text: Buffer, body: Buffer, at: number): boolean {
  if (at + text.length > body.length) return false;
  for (let i = 0; i < text.length; i++) if (text[i] !== body[at + i]) return false;
  return true;
}
