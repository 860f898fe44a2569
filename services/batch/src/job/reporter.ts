/** What a person sees of a running job: its stage, how far it is, and its counts; pushed to the service, and in the log. */
import type { JobProgress } from '@assay/contracts';

export interface Reporter {
  /** A stage has begun. */
  stage(stage: string, percent: number, message?: string): void;
  /** The stage goes on. Cheap: only the newest is pushed; the counts stay until others come. */
  progress(percent: number, message: string, metrics: Readonly<Record<string, number>>): void;
  /** A line for the log alone. */
  log(line: string): void;
  /** Everything reported so far was pushed, or given up. */
  flush(): Promise<void>;
}

export interface ReporterOptions {
  /** Hands progress to the service. A failure is no reason to stop a job: the next progress says it all again. */
  readonly push: (progress: JobProgress) => Promise<void>;
  /** Writes a line of the log. */
  readonly write: (line: string) => void;
}

/** Each push is a durable write of the service: between two of the same stage there is at least so much time. */
const PUSH_INTERVAL_MS = 250;

export function createReporter({ push, write }: ReporterOptions): Reporter {
  let current: JobProgress = { stage: 'prepare', percent: 0 };
  let isNew = false;
  let pushing: Promise<void> | undefined;
  let pause = Promise.withResolvers<void>();

  async function pushAll(): Promise<void> {
    while (isNew) {
      isNew = false;
      pause = Promise.withResolvers();
      await push(current).catch((error: unknown) => {
        write(`progress could not be reported: ${error instanceof Error ? error.message : String(error)}`);
      });
      const timer = setTimeout(pause.resolve, PUSH_INTERVAL_MS);
      await pause.promise;
      clearTimeout(timer);
    }
    pushing = undefined;
  }
  function update(next: JobProgress): void {
    const isNewStage = next.stage !== current.stage;
    current = next;
    isNew = true;
    pushing ??= pushAll();
    if (isNewStage) pause.resolve();
  }

  return {
    stage(stage, percent, message) {
      write(message === undefined ? stage : `${stage}: ${message}`);
      const { metrics } = current;
      const told = message === undefined ? {} : { message };
      update({ stage, percent, ...told, ...(metrics === undefined ? {} : { metrics }) });
    },
    progress(percent, message, metrics) {
      write(message);
      update({ stage: current.stage, percent, message, metrics: { ...metrics } });
    },
    log: write,
    async flush() {
      while (pushing !== undefined) {
        pause.resolve();
        await pushing;
      }
    },
  };
}
