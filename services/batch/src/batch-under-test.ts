/** For the tests of this service: one job in this process, or the service on a free port with a registry. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BatchClient, createBatchClient } from '@assay/client';
import type { BatchJob, BatchResult, BatchSpec, Dtype, KeySnapshot } from '@assay/contracts';
import { type EventBus, openDatabaseEventBus } from '@assay/events';
import { createLogger, loadConfig } from '@assay/runtime';
import { type ColumnData, openDataset } from '@assay/tables';
import { batchConfig } from './config.ts';
import { createReporter } from './job/reporter.ts';
import { runBatchJob } from './job/run-job.ts';
import type { ErrorLine } from './job/score-shard.ts';
import type { MadeModel } from './models-under-test.ts';
import { type RegistryUnderTest, startRegistry } from './registry-under-test.ts';
import { createBatch } from './service.ts';

export async function temporaryFolder(opened: AsyncDisposableStack): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'assay-batch-'));
  opened.defer(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

export interface RunOptions {
  readonly jobId?: string;
  readonly threads?: number;
  readonly signal?: AbortSignal;
  readonly onLog?: (line: string) => void;
}

/** Runs a job of a model in this process. */
export function runJob(
  model: MadeModel,
  spec: Omit<BatchSpec, 'model'>,
  options: RunOptions = {},
): Promise<BatchResult> {
  const { jobId = 'job_test', threads = 1, signal = new AbortController().signal, onLog } = options;
  const report = createReporter({ push: async () => undefined, write: (line) => onLog?.(line) });
  return runBatchJob(
    {
      jobId,
      baseDir: '/',
      spec: { model: 'flights', ...spec },
      version: { modelName: 'flights', version: 1, versionId: 'ver_1', digest: model.digest },
      threads,
      tableMemoryBytes: 256_000_000,
    },
    { packageDir: model.dir, report, signal },
  );
}

const DTYPES: Readonly<Record<string, Dtype>> = {
  VARCHAR: 'string',
  BIGINT: 'int64',
  FLOAT: 'float32',
  DOUBLE: 'float64',
  BOOLEAN: 'bool',
  'TIMESTAMP WITH TIME ZONE': 'timestamp',
};

/** The rows of all results files, in order: integers and instants (in microseconds) as bigints. */
export async function readResults(
  dir: string,
  format: 'csv' | 'parquet' = 'parquet',
): Promise<Record<string, unknown>[]> {
  const { signal } = new AbortController();
  const dataset = await openDataset({ path: join(dir, `results-*.${format}`) }, { signal });
  try {
    const columns = dataset.columns.map(({ name, type }) => ({ name, dtype: DTYPES[type] ?? 'string', place: name }));
    const table = await dataset.prepare({ columns, signal });
    const rows: Record<string, unknown>[] = [];
    for await (const chunk of table.read(columns, { signal })) {
      for (let row = 0; row < chunk.rows; row++) {
        const cells = chunk.columns.map((column, i) => [columns[i]?.name ?? '', cellOf(column, row)]);
        rows.push(Object.fromEntries(cells));
      }
    }
    return rows;
  } finally {
    dataset.close();
  }
}

function cellOf(column: ColumnData, row: number): unknown {
  if ('valid' in column && column.valid?.[row] === 0) return null;
  return column.kind === 'bool' ? column.values[row] === 1 : column.values[row];
}

/** The lines of all errors files, in order. */
export async function readErrors(dir: string): Promise<ErrorLine[]> {
  const names = (await readdir(dir)).filter((name) => name.startsWith('errors-')).sort();
  const texts = await Promise.all(names.map((name) => readFile(join(dir, name), 'utf8')));
  const lines = texts.flatMap((text) => text.split('\n').filter((line) => line !== ''));
  return lines.map((line): ErrorLine => JSON.parse(line));
}

export interface BatchUnderTest {
  readonly url: string;
  readonly client: BatchClient;
  readonly registry: RegistryUnderTest;
  readonly bus: EventBus;
  readonly dataDir: string;
  /** Creates a job and follows it to its end. */
  run(spec: BatchSpec): Promise<BatchJob>;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function startBatch(
  flags: Readonly<Record<string, unknown>> = {},
  keys: { readonly own?: string; readonly all?: KeySnapshot['keys'] } = {},
): Promise<BatchUnderTest> {
  await using opened = new AsyncDisposableStack();
  const dataDir = await temporaryFolder(opened);
  const registry = opened.use(await startRegistry());
  registry.keys = keys.all ?? [];
  const env = keys.own === undefined ? {} : { ASSAY_SERVICE_KEY: keys.own };
  const log = createLogger({ service: 'batch', level: 'silent' });
  const bus = await openDatabaseEventBus({ url: `sqlite:${join(dataDir, 'events.sqlite')}`, log });
  opened.defer(() => bus.close());
  const own = { port: 0, dataDir, registryUrl: registry.url, jobThreads: 1, logLevel: 'silent', ...flags };
  const service = await createBatch(loadConfig(batchConfig, { flags: own, env }), { bus, log });
  opened.defer(() => service.close());
  await service.start();
  const url = service.addresses.http ?? '';
  const client = createBatchClient({ url });
  opened.defer(() => client.close());
  const resources = opened.move();
  return {
    url,
    client,
    registry,
    bus,
    dataDir,
    run: async (spec) => follow(client, (await client.createJob({ spec })).id),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** What the job's attempts wrote until now. */
export async function logText(client: BatchClient, id: string): Promise<string> {
  let text = '';
  await client.logs(id, (piece) => {
    text += piece;
  });
  return text;
}

export async function follow(client: BatchClient, id: string): Promise<BatchJob> {
  let last = await client.getJob(id);
  for await (const job of client.followJob(id)) last = job;
  return last;
}
