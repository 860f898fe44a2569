/** Scoring a Parquet file in a batch beside polars and onnxruntime in Python: the same rows, ONNX file and columns. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createBatchClient, createRegistryClient, hasEnded } from '@assay/client';
import type { BatchJob } from '@assay/contracts';
import { entryUrl } from '@assay/runtime';
import { ROOT, temporaryFolder } from '../parts/assay.ts';
import { cpuMicroseconds } from './processes.ts';

const run = promisify(execFile);
const MODEL = 'flight-delay';
const FLIGHTS = join(ROOT, 'node_modules/vega-datasets/data/flights-3m.parquet');
const ROUNDS = 1;

interface Outcome {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly rows: number;
  readonly peakMegabytes?: number;
}

/** Both with one scoring thread, then both with two. */
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
  const python = await run('python3', ['-c', 'import polars, onnxruntime']).catch(() => undefined);
  if (python === undefined) console.log('Python: polars or onnxruntime is not installed, nothing to compare with');
  for (let round = 0; round < ROUNDS; round++) {
    for (const threads of [1, 2]) {
      const ours = await scoreHere(source, join(folder.path, `out-${round}-${threads}`), registryUrl, threads);
      print(`assay, ${threads} scoring thread${threads === 1 ? '' : 's'}`, ours);
      if (python === undefined) continue;
      const theirs = await scoreInPython(source, packageDir, join(folder.path, 'out.parquet'), threads);
      print(`polars + onnxruntime, ${threads} thread${threads === 1 ? '' : 's'}`, theirs);
      console.log(
        `ratio of rows/s ${(theirs.seconds / ours.seconds).toFixed(2)}, of CPU ${(ours.cpuSeconds / theirs.cpuSeconds).toFixed(2)}`,
      );
    }
  }
}

function print(name: string, { seconds, cpuSeconds, rows, peakMegabytes }: Outcome): void {
  const cells = [
    name.padEnd(34),
    `${seconds.toFixed(1).padStart(6)} s`,
    `${(rows / seconds / 1000).toFixed(0).padStart(5)}k rows/s`,
    `${((cpuSeconds / rows) * 1e6).toFixed(1).padStart(6)} µs CPU a row`,
  ];
  if (peakMegabytes !== undefined) cells.push(`${peakMegabytes.toFixed(0).padStart(5)} MB at most`);
  console.log(cells.join(' '));
}

async function scoreInPython(source: string, packageDir: string, target: string, threads: number): Promise<Outcome> {
  const script = join(ROOT, 'test/load/batch.py');
  const args = [script, source, join(packageDir, 'model.onnx'), target, String(threads)];
  const { stdout } = await run('python3', args);
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
}

/** A batch service of its own beside the registry, as a process; its job is another. */
async function scoreHere(source: string, dir: string, registryUrl: string, threads: number): Promise<Outcome> {
  const service = spawn(process.execPath, [fileURLToPath(entryUrl('services/batch', 'batch'))], {
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
