/**
 * `run.json` in the data folder of a running standalone Assay: where its services are. It appears when everything is
 * ready and is gone after a stop; what is left behind by a killed process names a process that is gone.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AssayError, matches } from '@assay/contracts';
import Type from 'typebox';

/** Unknown keys are allowed: doors and services are added over time. */
export const RunFile = Type.Object(
  {
    pid: Type.Integer({ description: 'The process that runs all services.' }),
    version: Type.String({ description: 'The version of Assay.' }),
    services: Type.Record(Type.String(), Type.Record(Type.String(), Type.String()), {
      description: 'Service → door → address: `services.inference.http` is `http://127.0.0.1:8102`.',
    }),
  },
  { $id: 'RunFile' },
);
export type RunFile = Type.Static<typeof RunFile>;

export function runFilePath(dataDir: string): string {
  return join(dataDir, 'run.json');
}

/**
 * What runs on this data folder.
 * @throws AssayError UNAVAILABLE where nothing does, with what to do
 */
export async function readRunFile(dataDir: string): Promise<RunFile> {
  const path = runFilePath(dataDir);
  const remedy = 'start one with `assay up`, or give the address of the service';
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    const missing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
    const why = missing ? `there is no ${path}` : `${path} cannot be read`;
    throw new AssayError('UNAVAILABLE', `no Assay is running here (${why}); ${remedy}`, { cause });
  }
  if (!matches(RunFile, value)) throw new AssayError('UNAVAILABLE', `${path} is not a run file of Assay; ${remedy}`);
  if (!isRunning(value.pid)) {
    throw new AssayError(
      'UNAVAILABLE',
      `no Assay is running here (process ${value.pid} of ${path} is gone); ${remedy}`,
    );
  }
  return value;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'; // another user's
  }
}
