/** For tests of MLflow's doors: runs a script of test/mlflow with the real Python client. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const SCRIPTS = new URL('../../../../test/mlflow/', import.meta.url);
const CACHE = fileURLToPath(new URL('../../../../.cache/', import.meta.url));
const NEWEST = join(CACHE, 'python');

/** The lines of MLflow's client, and where their packages are. */
export const MLFLOW_LINES = [
  { line: '3.x', packages: NEWEST },
  { line: '2.x', packages: `${join(CACHE, 'python-mlflow-2')}:${NEWEST}` },
] as const;

/**
 * What the script printed. The client's retries are few, so that a refusal that it would repeat does not take minutes.
 * @throws Error with what it wrote to stderr, when it fails
 */
export async function runPython(
  script: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const path = fileURLToPath(new URL(script, SCRIPTS));
  const { stdout } = await run('python3', [path, ...args], {
    maxBuffer: 1 << 24,
    env: {
      PATH: process.env.PATH ?? '',
      HOME: process.env.HOME ?? '',
      PYTHONPATH: NEWEST,
      MLFLOW_HTTP_REQUEST_MAX_RETRIES: '1',
      MLFLOW_DISABLE_TELEMETRY: 'true',
      ...env,
    },
  });
  return stdout;
}

/** A folder for one test, removed when it goes out of scope. */
export async function temporaryFolder(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'assay-mlflow-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
