/**
 * The last word of a pod: how its job ended, as JSON in the file that Kubernetes takes a container's termination message
 * from. At most 4096 bytes of it are kept, so that a long message is cut, not the JSON.
 */
import { JobFailure, matches } from '@assay/contracts';
import Type from 'typebox';
import type { LaunchExit } from './launcher.ts';

const MAX_WORD_BYTES = 4096;
const CUT = ' […]';
/** The first code unit of two, cut from its second. */
const HALF_A_PAIR = /[\uD800-\uDBFF]$/;

const LaunchWord = Type.Union([
  Type.Object({ outcome: Type.Literal('succeeded'), endedAtMs: Type.Optional(Type.Integer()) }),
  Type.Object({ outcome: Type.Literal('failed'), endedAtMs: Type.Optional(Type.Integer()), failure: JobFailure }),
]);
export type LaunchWord = Type.Static<typeof LaunchWord>;

/** The exit as a termination message. */
export function writeLaunchWord(exit: LaunchExit): string {
  const text = JSON.stringify(exit);
  if (exit.outcome !== 'failed' || Buffer.byteLength(text) <= MAX_WORD_BYTES) return text;
  let { message } = exit.failure;
  for (;;) {
    message = message.slice(0, Math.floor(message.length * 0.9));
    const shorter = JSON.stringify({
      ...exit,
      failure: { ...exit.failure, message: `${message.replace(HALF_A_PAIR, '')}${CUT}` },
    });
    if (Buffer.byteLength(shorter) <= MAX_WORD_BYTES) return shorter;
  }
}

/** What a termination message says; undefined where it is anything else, such as the end of a log. */
export function readLaunchWord(message: string | undefined): LaunchWord | undefined {
  if (message === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(message);
    return matches(LaunchWord, value) ? value : undefined;
  } catch {
    return undefined;
  }
}
