import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { readResults, temporaryFolder } from '../batch-under-test.ts';
import { flightModel, flightRecords, writeCsv } from '../models-under-test.ts';
import type { BatchJobInput } from './run-job.ts';

const PROGRAM = fileURLToPath(new URL('../run-job-to-kill.ts', import.meta.url));
const opened = new AsyncDisposableStack();
afterAll(() => opened.disposeAsync());

/** Runs a job whose files may not grow beyond `limitKib`, as on a disk that is full then. */
async function run(packageDir: string, input: BatchJobInput, limitKib: number) {
  const program = [process.execPath, PROGRAM, packageDir, JSON.stringify(input)];
  const child = spawn('bash', ['-c', `ulimit -f ${limitKib}; exec "$@"`, 'bash', ...program]);
  let errors = '';
  child.stderr.on('data', (text) => {
    errors += text;
  });
  child.stdout.resume();
  await once(child, 'close');
  return { exitCode: child.exitCode, errors };
}

test.each([
  ['rows that are read', 30_000, 600],
  ['results that are written', 8000, 500],
] as const)(
  'when there is no room for %s the job fails and says so, and every file that is there is whole',
  async (_, shardRows, limitKib) => {
    const folder = await temporaryFolder(opened);
    const model = await flightModel(folder);
    const path = await writeCsv(join(folder, 'rows.csv'), flightRecords(30_000));
    const out = join(folder, 'out');
    const input: BatchJobInput = {
      jobId: 'job_full',
      baseDir: folder,
      spec: {
        model: 'flights',
        input: { path },
        output: { path: 'out', format: 'csv', columns: ['distance'] },
        shardRows,
      },
      version: { modelName: 'flights', version: 1, versionId: 'ver_1', digest: model.digest },
      threads: 1,
      tableMemoryBytes: 256_000_000,
    };
    const { exitCode, errors } = await run(model.dir, input, limitKib);
    expect(exitCode).not.toBe(0);
    expect(errors).toMatch(new RegExp(`output\\.path: ${out} has no room left \\(.*\\); make room`));
    expect((await readdir(out)).filter((name) => name.startsWith('results'))).toEqual([]);
    // With room it goes on, since it is the same job.
    expect(await run(model.dir, input, 1_000_000)).toMatchObject({ exitCode: 0 });
    expect(await readResults(out, 'csv')).toHaveLength(30_000);
  },
);
