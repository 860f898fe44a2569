/**
 * The registry beside a real `mlflow server`, each on a SQLite file of its own, asked the same by MLflow's REST: in turns,
 * so that what else the machine does meets both alike.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ROOT, temporaryFolder } from '../parts/assay.ts';
import { freePorts } from '../parts/ports.ts';
import { closedLoop, type RawTarget } from './closed-loop.ts';
import { median, type Sample } from './generator.ts';
import { residentMegabytes } from './processes.ts';

/** Bundled, as it is shipped. */
const REGISTRY = join(ROOT, 'dist/entries/services-registry-registry.mjs');
/** `make bench` installs MLflow there. */
const MLFLOW_PACKAGES = join(ROOT, '.cache/python-mlflow-server');
const API = '/api/2.0/mlflow';
const MIN_RATIO = 5;
const ROUNDS = 3;
const SECONDS = 6;
const CONNECTIONS = 8;
const RUNS = 1000;
const MODEL = 'bench';

interface Tracking extends AsyncDisposable {
  readonly name: string;
  readonly url: string;
  readonly pid: number;
}

/** @throws Error when the registry has less than five times the throughput in one of them */
export async function benchRegistryBesideMlflow(packages = MLFLOW_PACKAGES): Promise<void> {
  console.log("\nMLflow's REST, answered by the registry and by `mlflow server`, both on SQLite");
  await using folder = await temporaryFolder();
  await using ours = await startRegistry(join(folder.path, 'assay'));
  await using theirs = await startMlflow(join(folder.path, 'mlflow'), packages);
  const asked = [await prepare(ours), await prepare(theirs)] as const;
  console.log(`${CONNECTIONS} connections`.padEnd(28), 'mlflow req/s  assay req/s   ratio   mlflow p99  assay p99');
  const low: string[] = [];
  for (const what of Object.keys(asked[0])) {
    const samples: [Sample[], Sample[]] = [[], []];
    for (let round = 0; round < ROUNDS; round++) {
      for (const i of [0, 1] as const) samples[i].push(await closedLoop(found(asked[i], what), CONNECTIONS, SECONDS));
    }
    const of = (i: 0 | 1, key: keyof Sample): number => median(samples[i].map((sample) => sample[key]));
    const ratio = median(
      samples[0].map((sample, i) => sample.requestsPerSecond / (samples[1][i]?.requestsPerSecond ?? 0)),
    );
    console.log(
      what.padEnd(28),
      of(1, 'requestsPerSecond').toFixed(1).padStart(12),
      of(0, 'requestsPerSecond').toFixed(1).padStart(12),
      ratio.toFixed(1).padStart(7),
      `${of(1, 'p99Ms').toFixed(0)} ms`.padStart(12),
      `${of(0, 'p99Ms').toFixed(0)} ms`.padStart(10),
    );
    if (ratio < MIN_RATIO) low.push(`${what} (${ratio.toFixed(1)})`);
  }
  console.log(`resident memory of the registry: ${residentMegabytes(ours.pid).toFixed(0)} MB`);
  if (low.length > 0) throw new Error(`less than ${MIN_RATIO} times the throughput of MLflow: ${low.join(', ')}`);
}

function found(targets: Readonly<Record<string, RawTarget>>, what: string): RawTarget {
  const target = targets[what];
  if (target === undefined) throw new Error(`nothing asks for ${what}`);
  return target;
}

/** Fills a server by its own REST, and gives what it is asked then. */
async function prepare(server: Tracking): Promise<Readonly<Record<string, RawTarget>>> {
  const experiment = await call<{ experiment_id: string }>(server, '/experiments/create', { name: MODEL });
  const experimentId = experiment.experiment_id;
  await call(server, '/registered-models/create', { name: MODEL });
  const version = { name: MODEL, source: 's3://elsewhere/model' };
  await call(server, '/model-versions/create', version);
  await call(server, '/registered-models/alias', { name: MODEL, alias: 'champion', version: '1' });
  const now = Date.now();
  let runId = '';
  for (let i = 0; i < RUNS; i++) {
    const run = { experiment_id: experimentId, start_time: now + i };
    const made = await call<{ run: { info: { run_id: string } } }>(server, '/runs/create', run);
    runId = made.run.info.run_id;
    const params = ['depth', 'rounds', 'rate', 'seed'].map((key) => ({ key, value: String(i % 7) }));
    const metrics = ['auc', 'loss', 'f1'].map((key) => ({ key, value: (i % 100) / 100, timestamp: now, step: 0 }));
    await call(server, '/runs/log-batch', { run_id: runId, params, metrics });
  }
  let step = 0;
  const batch = (): string => {
    step += 1;
    const metric = (i: number) => ({
      key: `metric-${i % 10}`,
      value: Math.random(),
      timestamp: now + step,
      step: step * 10 + i,
    });
    return JSON.stringify({ run_id: runId, metrics: Array.from({ length: 100 }, (_, i) => metric(i)) });
  };
  const search = { experiment_ids: [experimentId], max_results: RUNS, order_by: ['attributes.start_time DESC'] };
  const post = (path: string, body: string): RawTarget => ({ ...server, path: API + path, body });
  return {
    'get by alias': {
      ...post(`/registered-models/alias?name=${MODEL}&alias=champion`, ''),
      method: 'GET',
    },
    'register a version': post('/model-versions/create', JSON.stringify(version)),
    'log a batch of 100 metrics': { ...post('/runs/log-batch', ''), nextBody: batch },
    [`search of ${RUNS} runs`]: post('/runs/search', JSON.stringify(search)),
  };
}

async function call<Answer>({ name, url }: Tracking, path: string, body: unknown): Promise<Answer> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(url + API + path, { method: 'POST', headers, body: JSON.stringify(body) });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${name} answers ${path} with ${response.status}: ${text}`);
  return JSON.parse(text) as Answer; // by MLflow's protocol, which both servers speak
}

function startRegistry(dir: string): Promise<Tracking> {
  return startTracking('the registry', [process.execPath, REGISTRY], '/readyz', (port) => ({
    ASSAY_DATA_DIR: dir,
    ASSAY_REGISTRY_PORT: String(port),
    ASSAY_LOG_LEVEL: 'silent',
  }));
}

/** As its documentation starts it: four workers. */
async function startMlflow(dir: string, packages: string): Promise<Tracking> {
  const stores = ['--backend-store-uri', `sqlite:///${dir}.db`, '--artifacts-destination', dir];
  const command = ['python3', '-m', 'mlflow', 'server', '--host', '127.0.0.1', ...stores];
  return startTracking('mlflow server', command, '/health', (port) => ({
    PYTHONPATH: packages,
    MLFLOW_PORT: String(port),
    MLFLOW_DISABLE_TELEMETRY: 'true',
  }));
}

async function startTracking(
  name: string,
  [command = '', ...args]: readonly string[],
  healthPath: string,
  env: (port: number) => Readonly<Record<string, string>>,
): Promise<Tracking> {
  const port = await freePorts(1);
  let output = '';
  // A group of its own, since MLflow has workers.
  const child = spawn(command, args, {
    env: { ...process.env, ...env(port) },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-5000);
    });
  }
  const closed = once(child, 'close');
  const { pid } = child;
  if (pid === undefined) throw new Error(`${name}: ${command} cannot be started`);
  const url = `http://127.0.0.1:${port}`;
  const dispose = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-pid, 'SIGTERM');
    await closed;
  };
  const deadlineMs = performance.now() + 120_000;
  while (
    !(await fetch(url + healthPath).then(
      ({ ok }) => ok,
      () => false,
    ))
  ) {
    if (child.exitCode !== null || performance.now() > deadlineMs) {
      await dispose();
      throw new Error(`${name} did not start:\n${output}`);
    }
    await delay(100);
  }
  return { name, url, pid, [Symbol.asyncDispose]: dispose };
}

if (import.meta.main) await benchRegistryBesideMlflow(process.argv[2]);
