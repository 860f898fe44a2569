/** The steps of a plan, one after the other, until one fails. */
import { AssayError } from '@assay/contracts';
import type { Step } from './kind.ts';

/**
 * Each step is a compare-and-set against what the plan has read, and is whole when `onDone` hears of it.
 * @throws AssayError with the code of the step that failed; its details name that step and those that were not tried
 */
export async function execute(
  steps: readonly Step[],
  signal: AbortSignal,
  onDone: (step: Step, note: string | undefined) => void,
): Promise<void> {
  const done: Step[] = [];
  for (const step of steps) {
    let note: string | undefined;
    try {
      signal.throwIfAborted();
      note = await step.run(done);
    } catch (error) {
      throw stoppedAt(step, steps.slice(done.length + 1), done.length, error);
    }
    done.push(step);
    onDone(step, note);
  }
}

function stoppedAt(step: Step, notTried: readonly Step[], done: number, thrown: unknown): AssayError {
  const cause = AssayError.from(thrown);
  const left = notTried.length === 0 ? '' : `, ${notTried.length} not tried`;
  const message = `${step.place}: ${step.kind.name} ${step.name}: ${cause.message} (${done} done before it${left}; what is done stays, and another apply goes on from there)`;
  const details = [
    { place: `${step.kind.name} ${step.name}`, message: cause.message },
    ...cause.details,
    ...notTried.map(({ kind, name }) => ({ place: `${kind.name} ${name}`, message: 'not tried' })),
  ];
  const { currentRevision, retryAfterMs } = cause;
  return new AssayError(cause.code, message, {
    details,
    cause,
    ...(currentRevision === undefined ? {} : { currentRevision }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}
