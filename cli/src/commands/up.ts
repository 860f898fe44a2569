/** `assay up`: everything in one process. The code of the services is loaded here, and only here. */
import { withoutApiKey } from '../api-key.ts';
import type { Io } from '../io.ts';

export interface UpOptions {
  /** Words then go to standard error, and one line of JSON to standard output: what `run.json` holds. */
  readonly json?: boolean;
  readonly dataDir?: string;
  readonly registryPort?: number;
  readonly inferencePort?: number;
  readonly trainingPort?: number;
  readonly batchPort?: number;
  readonly monitoringPort?: number;
  readonly keys?: boolean;
  /** False with `--no-example`. */
  readonly example: boolean;
}

/** Ends the process when it has stopped. */
export async function up(io: Io, { example, ...flags }: UpOptions): Promise<never> {
  const standalone = await import('@assay/standalone');
  return standalone.up({ ...flags, ...(example ? {} : { trainExample: false }) }, withoutApiKey(io.env));
}
