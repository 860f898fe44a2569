/** A step of the run: it throws when what its name says does not hold. */
export interface Step {
  /** A sentence: `a model is registered and scored`. */
  readonly name: string;
  run(context: StepContext): Promise<void>;
}

export type Facts = Readonly<Record<string, string | number>>;

export interface StepContext {
  /** What earlier steps made and later ones need, by name. */
  readonly made: Record<string, string>;
  /** Called at the end of the run, whatever came of it; what was deferred last is closed first. */
  defer(close: () => Promise<unknown>): void;
  /** Keeps a number or a word for the report. */
  tell(name: string, value: string | number): void;
}

/** Something that an earlier step made. */
export function needed({ made }: StepContext, name: string): string {
  const value = made[name];
  if (value === undefined) throw new Error(`no earlier step has made ${name}`);
  return value;
}

export function check(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Error(otherwise);
}

/** Asks until it holds. */
export async function until(what: string, timeoutMs: number, holds: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const isTrue = await holds();
    if (isTrue) return;
    if (performance.now() > deadlineMs) throw new Error(`${what}: not within ${timeoutMs / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}
