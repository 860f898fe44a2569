/** A chunk that is being transformed, whoever waits for it, and a group that hears of us meanwhile. */
import type { InputRecord, OutputRecord, Transform } from './records.ts';

export interface Transforming {
  readonly chunk: readonly InputRecord[];
  /** Never rejects: nobody may be waiting when it ends. */
  readonly done: Promise<Done>;
}

interface Done {
  readonly transformed: { readonly results: readonly OutputRecord[] } | { readonly error: unknown };
  readonly tookMs: number;
}

export function beginTransform(transform: Transform, chunk: readonly InputRecord[], signal: AbortSignal): Transforming {
  const beganMs = performance.now();
  const done = transform(chunk, signal).then(
    (results): Done => ({ transformed: { results }, tookMs: performance.now() - beganMs }),
    (error: unknown): Done => ({ transformed: { error }, tookMs: performance.now() - beganMs }),
  );
  return { chunk, done };
}

/**
 * Waits, with a heartbeat every so often. (Within a transaction there is none: a rebalance is seen before one or after it,
 * never in between.)
 * @throws what `heartbeat` throws: the group rebalances, and what is being transformed is given up with its claim
 */
export async function untilTransformed(
  { chunk, done }: Transforming,
  heartbeat: () => Promise<void>,
  heartbeatMs: number,
): Promise<Done & { readonly chunk: readonly InputRecord[] }> {
  for (;;) {
    // Not an abortable delay: an abort makes an error with its stack, which for each chunk is more than it is worth.
    let timer: NodeJS.Timeout | undefined;
    const beat = new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, heartbeatMs, undefined);
    });
    const ended = await Promise.race([done, beat]);
    clearTimeout(timer);
    if (ended !== undefined) return { chunk, ...ended };
    await heartbeat();
  }
}
