/** Which rows a model learns from, is tuned on, and is judged on. */
import type { TrainingSpec } from '@assay/contracts';
import { createRandom } from '@assay/statistics';
import { SPLIT } from './prepared-rows.ts';

export type SplitSpec = TrainingSpec['split'];

/** By instant: before `validationFrom`, before `testFrom`, and from there on. Instants in microseconds since 1970. */
export function splitByTime(instants: BigInt64Array, validationFrom: bigint, testFrom: bigint): Uint8Array {
  return Uint8Array.from(instants, (instant) =>
    instant >= testFrom ? SPLIT.test : instant >= validationFrom ? SPLIT.validation : SPLIT.train,
  );
}

/** By chance: each row by itself, in the order of the rows. The same seed and rows give the same split. */
export function splitByChance(rows: number, fractions: { validation: number; test: number }, seed: number): Uint8Array {
  const random = createRandom(seed);
  return new Uint8Array(rows).map(() => {
    const drawn = random.nextFloat();
    if (drawn < fractions.test) return SPLIT.test;
    return drawn < fractions.test + fractions.validation ? SPLIT.validation : SPLIT.train;
  });
}

/** Microseconds since 1970 of an ISO 8601 instant; a date alone is its midnight in UTC. Undefined when it is none. */
export function parseInstant(text: string): bigint | undefined {
  const ISO = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2}))?$/;
  const ms = ISO.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(ms)) return undefined;
  const fraction = /\.(\d{1,6})/.exec(text)?.[1]?.padEnd(6, '0') ?? '000000';
  return BigInt(Math.floor(ms / 1000)) * 1_000_000n + BigInt(fraction);
}
