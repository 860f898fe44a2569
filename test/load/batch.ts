/** Scoring a Parquet file in a batch beside polars and onnxruntime in Python: the same rows, ONNX file and columns. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createBatchClient, createRegistryClient, hasEnded } from '@assay/client';
import type { BatchJob } from '@assay/contracts';
import { openPackage } from '@assay/model-package';
import { createScorer } from '@assay/scoring';
import { openDataset } from '@assay/tables';
import { ROOT, temporaryFolder } from '../parts/assay.ts';
import { median } from './generator.ts';
import { cpuMicroseconds } from './processes.ts';

const run = promisify(execFile);
const MODEL = 'flight-delay';
const FLIGHTS = join(ROOT, 'node_modules/vega-datasets/data/flights-3m.parquet');
/** Bundled, as it is shipped. */
const SERVICE = join(ROOT, 'dist/entries/services-batch-batch.mjs');
const ROUNDS = 2;
/** Rows of one run of the graph, as a job has them. */
const RUN_ROWS = 128;
/** What a job may need whatever the size of the file: the bound that docs/batch.md names. */
const MAX_MEGABYTES = 700;

interface Outcome {
  readonly seconds: number;
  readonly cpuSeconds: number;
  /** Of that in onnxruntime. */
  readonly inferenceCpuSeconds?: number;
  readonly rows: number;
  readonly peakMegabytes: number;
}

/** In turns, each on one core with one thread, then each with two. */
export async function benchBatch(registryUrl: string, source = FLIGHTS): Promise<void> {
  await using folder = await temporaryFolder();
  const packageDir = join(folder.path, 'package');
  const registry = createRegistryClient({ url: registryUrl });
  await registry.downloadPackage(await registry.getVersion(MODEL, 1), packageDir);
  await registry.close();
  console.log('\nScoring flights in a batch, Parquet to Parquet, with the model of the example');
  console.log(
    '(assay also checks every row, gives each an id, hashes input and output, and can be killed and resumed)',
  );
  await run('python3', ['-c', 'import polars, onnxruntime']).catch((cause: unknown) => {
    throw new Error('Python has no polars and onnxruntime: `make test` installs them', { cause });
  });
  await printFloor(packageDir, source);
  for (const threads of [1, 2]) {
    const ratios = { wall: [] as number[], cpu: [] as number[] };
    for (let round = 0; round < ROUNDS; round++) {
      const out = join(folder.path, 'out');
      const ours = await scoreHere(source, out, registryUrl, threads);
      await rm(out, { recursive: true });
      const theirs = await scoreInPython(source, packageDir, join(folder.path, 'out.parquet'), threads);
      const on = threads === 1 ? '1 core' : `${threads} threads`;
      print(`assay, ${on}`, ours);
      print(`polars + onnxruntime, ${on}`, theirs);
      ratios.wall.push(theirs.seconds / ours.seconds);
      ratios.cpu.push(theirs.cpuSeconds / ours.cpuSeconds);
      if (ours.peakMegabytes > MAX_MEGABYTES) throw new Error(`a job took more than ${MAX_MEGABYTES} MB`);
    }
    console.log(
      `rows of assay for one of Python: ${median(ratios.cpu).toFixed(2)} by CPU time, ${median(ratios.wall).toFixed(2)} by the clock`,
    );
  }
}

function print(name: string, { seconds, cpuSeconds, inferenceCpuSeconds, rows, peakMegabytes }: Outcome): void {
  const perRow = (all: number): string => `${((all / rows) * 1e6).toFixed(1).padStart(5)} µs`;
  const cells = [
    name.padEnd(34),
    `${seconds.toFixed(1).padStart(6)} s`,
    `${(rows / seconds / 1000).toFixed(0).padStart(5)}k rows/s`,
    `${perRow(cpuSeconds)} CPU a row`,
  ];
  if (inferenceCpuSeconds !== undefined) cells.push(`(${perRow(inferenceCpuSeconds)} in onnxruntime)`);
  cells.push(`${peakMegabytes.toFixed(0).padStart(5)} MB at most`);
  console.log(cells.join(' '));
}

/** The scorer alone over rows that are packed already: what no batch can be below. */
async function printFloor(packageDir: string, source: string): Promise<void> {
  const scorer = await createScorer(await openPackage(packageDir), { maxBatchRows: RUN_ROWS });
  const { signal } = new AbortController();
  const dataset = await openDataset({ path: source }, { signal });
  try {
    const expressions: Readonly<Record<string, string>> = { hour: 'hour(date)', weekday: 'isodow(date)' };
    const columns = scorer.signature.features.map(({ name, dtype }) => {
      const expression = expressions[name];
      return { name, dtype, place: name, ...(expression === undefined ? {} : { expression }) };
    });
    const where = { expression: "date < '2001-01-15'", place: 'where' };
    const table = await dataset.prepare({ columns, where, signal });
    const batch = scorer.newBatch();
    let [rows, microseconds] = [0, 0];
    for await (const chunk of table.read(columns, { signal })) {
      batch.clear();
      batch.appendTensors(
        columns.map(({ name, dtype }, i) => {
          const column = chunk.columns[i];
          if (column === undefined || column.kind === 'codes') throw new Error(`no column ${name}`);
          return { name, dtype, shape: [chunk.rows], data: column.values };
        }),
      );
      const before = process.cpuUsage();
      await scorer.run(batch);
      const { user, system } = process.cpuUsage(before);
      rows += chunk.rows;
      microseconds += user + system;
    }
    console.log(`the scorer alone, one thread: ${(microseconds / rows).toFixed(1)} µs CPU a row`);
  } finally {
    dataset.close();
    scorer.close();
  }
}

/** One thread is pinned to one core: what runs beside the scoring does not count as a second one. */
function pinned(threads: number, command: string, args: readonly string[]): [string, string[]] {
  return threads === 1 ? ['taskset', ['-c', '0', command, ...args]] : [command, [...args]];
}

async function scoreInPython(source: string, packageDir: string, target: string, threads: number): Promise<Outcome> {
  const script = join(ROOT, 'test/load/batch.py');
  const args = [script, source, join(packageDir, 'model.onnx'), target, String(threads)];
  const { stdout } = await run(...pinned(threads, 'python3', args));
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
}

/** A batch service of its own beside the registry, as a process; its job is another. */
async function scoreHere(source: string, dir: string, registryUrl: string, threads: number): Promise<Outcome> {
  const service = spawn(...pinned(threads, process.execPath, [SERVICE]), {
    env: {
      ...process.env,
      ASSAY_DATA_DIR: dir,
      ASSAY_REGISTRY_URL: registryUrl,
      ASSAY_BATCH_PORT: '0',
      ASSAY_BATCH_JOB_THREADS: String(threads),
      ASSAY_BATCH_JOB_NICENESS: '0', // as Python has
      ASSAY_LOG_LEVEL: 'silent',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = once(service, 'close');
  try {
    const [line] = await once(service.stdout, 'data');
    const url = /listens on (\S+)/.exec(String(line))?.[1];
    if (url === undefined) throw new Error(`the batch service said ${String(line)}`);
    const client = createBatchClient({ url });
    const spec = {
      model: MODEL,
      version: 1,
      input: { path: source, select: { hour: 'hour(date)', weekday: 'isodow(date)' } },
      output: { path: join(dir, 'out'), columns: ['origin', 'destination'] },
    };
    let job: BatchJob = await client.createJob({ spec });
    let cost = { cpuSeconds: 0, peakMegabytes: 0 };
    while (!hasEnded(job)) {
      job = await client.getJob(job.id, { after: job.revision, waitMs: 200 });
      cost = costOf(join(dir, 'batch', 'launches', `${job.id}.1`)) ?? cost;
    }
    await client.close();
    if (job.result === null || job.startedAt === null || job.endedAt === null) {
      throw new Error(`the job ended as ${job.state}: ${job.failure?.message}`);
    }
    return { ...cost, seconds: (job.endedAt - job.startedAt) / 1000, rows: job.result.rowsIn };
  } finally {
    service.kill('SIGTERM');
    await closed;
  }
}

/** What the process of a launch has used until now; undefined when it is gone. */
function costOf(launch: string): { cpuSeconds: number; peakMegabytes: number } | undefined {
  try {
    const { pid }: { pid: number } = JSON.parse(readFileSync(join(launch, 'process.json'), 'utf8'));
    const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
    if (peak === undefined) return undefined; // it is ending
    return { cpuSeconds: cpuMicroseconds(pid) / 1e6, peakMegabytes: Number(peak) / 1024 };
  } catch {
    return undefined;
  }
}
