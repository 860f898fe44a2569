/**
 * Mixed load on one server while what it serves changes without a pause: one endpoint gets a new version every so often, and
 * fifty others come, are scored and go, within less memory than they need. No request fails, no answer is that of another
 * version or row, and neither memory nor files nor threads nor series of metrics grow. `make soak` takes half an hour.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { grpcClient as http2Client } from '../../services/inference/src/grpc/grpc-under-test.ts';
import { type MadeModel, versionModel } from '../../services/inference/src/models-under-test.ts';
import { RETIRED_SERIES } from '../../services/inference/src/observer.ts';
import { type InferenceProcess, startInference } from '../../services/inference/src/process-under-test.ts';
import { type RegistryUnderTest, startRegistry } from '../../services/inference/src/registry-under-test.ts';
import { ROOT, temporaryFolder } from '../parts/assay.ts';
import { askBinary, askGrpc, askJson, echoModel, type InferAnswer, JSON_TYPE, postJson } from './echo-requests.ts';
import {
  agentClient,
  fetchClient,
  grpcClient,
  grpcStreamClient,
  type KeepAliveClient,
  rawClient,
} from './keep-alive-clients.ts';

const BUNDLE = join(ROOT, 'dist/entries/services-inference-inference.mjs');
const SECONDS = Number(process.env.SOAK_SECONDS ?? 30);
const SWAP_MS = Number(process.env.SOAK_SWAP_MS ?? 500);
const MODELS = 50;
/** Room for some twenty of them, by what a small one is taken to hold. */
const BUDGET_BYTES = 40_000_000;
/** Who loads, scores and unloads models, each its own. */
const CHURNERS = 5;
/** Each client waits so long before it asks again: the machine is to be busy, and not full. */
const PAUSE_MS = Number(process.env.SOAK_PAUSE_MS ?? 4);
/** What may be more by chance. Sessions that stayed when they were closed made it 51 MB in the short form, instead of 3. */
const MORE_NATIVE_BYTES = 40_000_000;
const MORE_HEAP_BYTES = 48_000_000;
const MORE_HANDLES = 8;
/** Those of a churner before it unloads one, `echo`, two of `number`, those that have left, and what is just leaving. */
const MOST_VERSIONS = CHURNERS * (MODELS / CHURNERS / 2 + 1) + 3 + RETIRED_SERIES + CHURNERS;

const WITHIN = { timeout: 60_000, interval: 20 };

/** Counts what every part of the load did; ends with the first thing that went wrong. */
class Load {
  readonly counts = new Map<string, number>();
  readonly #stop = new AbortController();
  readonly #parts: Promise<void>[] = [];

  get isOver(): boolean {
    return this.#stop.signal.aborted;
  }

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  /** Does one thing after another until all is over. */
  run(what: string, pauseMs: number, once: () => Promise<void>): void {
    const part = async (): Promise<void> => {
      while (!this.isOver) {
        await once().catch((cause: unknown) => {
          throw new Error(`${what} failed`, { cause });
        });
        this.count(what);
        await delay(pauseMs);
      }
    };
    this.#parts.push(part());
  }

  async forSeconds(seconds: number, each: (second: number) => Promise<void>): Promise<void> {
    const failed = Promise.race(this.#parts);
    failed.catch(() => undefined); // raced below
    try {
      for (let second = 0; second < seconds; second++) {
        await Promise.race([delay(1000), failed]);
        await each(second);
      }
    } finally {
      this.#stop.abort();
    }
    await Promise.all(this.#parts);
  }
}

/** The version of `number` only goes up, for whoever asks one thing after another. */
function addClient(load: Load, client: KeepAliveClient): void {
  let newest = 0;
  load.run(client.name, PAUSE_MS, async () => {
    const number = await client.ask();
    if (number < newest) throw new Error(`version ${number} answered after ${newest}`);
    newest = number;
  });
}

/** A new version of `number` whenever the one before answers. */
function addSwaps(
  load: Load,
  registry: RegistryUnderTest,
  dir: string,
  first: KeepAliveClient,
  numbers: Numbers,
): void {
  let number = 1;
  load.run('swap', SWAP_MS, async () => {
    number++;
    const made = await versionModel(dir, number);
    numbers.set(made.digest, number);
    registry.route('number', [{ made, weight: 10_000 }]);
    await expect.poll(() => first.ask(), WITHIN).toBe(number);
    await rm(join(dir, `version-${number - 1}`), { recursive: true });
  });
}

/** Loads a model, scores all that it has loaded, and unloads the oldest once it has many. */
function addChurner(load: Load, registry: RegistryUnderTest, server: InferenceProcess, models: readonly Numbered[]) {
  const routed: Numbered[] = [];
  const left = [...models];
  load.run('load of a model', PAUSE_MS, async () => {
    const next = left.shift();
    if (next === undefined) throw new Error('there are more models than may be routed');
    registry.route(next.name, [{ made: next.made, weight: 10_000 }]);
    routed.push(next);
    await expect.poll(() => stateOf(server, next), WITHIN).toBe('READY');
    for (const each of routed) {
      const answer = await scored(server, each);
      if (answer !== each.number) throw new Error(`${each.name} answered ${answer}`);
      load.count('named model');
    }
    if (routed.length <= models.length / 2) return;
    const oldest = routed.shift();
    if (oldest === undefined) return;
    registry.route(oldest.name, []);
    await expect.poll(() => stateOf(server, oldest), WITHIN).toBeUndefined();
    left.push(oldest);
    load.count('unload of a model');
  });
}

/** What the packages of `number` give, by their digests. */
type Numbers = Map<string, number>;

/** The two doors that name the version of an answer: its number must be that of the package. */
function addNamedVersions(load: Load, { url }: InferenceProcess, numbers: Numbers): void {
  const byVersion = new Map<string, number>();
  const check = (version: string, number: number | undefined, wanted = byVersion.get(version) ?? number) => {
    if (number === undefined || number !== wanted)
      throw new Error(`version ${version} answered ${number}, not ${wanted}`);
    byVersion.set(version, number);
  };
  load.run('version by name', PAUSE_MS, async () => {
    const records = await postJson(`${url}/v1/endpoints/number/score`, { records: [{ x: 1 }] });
    const { version, digest, predictions } = records as ScoreAnswer;
    const wanted = numbers.get(digest);
    if (wanted === undefined) throw new Error(`nobody made ${digest}`);
    check(String(version), predictions[0]?.outputs.version, wanted);
    const inputs = [{ name: 'x', shape: [1, 1], datatype: 'FP32', data: [1] }];
    const tensors = (await postJson(`${url}/v2/models/number/infer`, { inputs })) as InferAnswer;
    check(tensors.model_version, tensors.outputs[0]?.data[0]);
  });
}

/** As the documents of the service have them. */
interface ScoreAnswer {
  readonly version: number;
  readonly digest: string;
  readonly predictions: readonly { readonly outputs: { readonly version: number } }[];
}
interface Numbered {
  readonly name: string;
  readonly number: number;
  readonly made: MadeModel;
}

/** By the index, so that nobody asks what is not there yet, or not any more: such a request would fail. */
async function stateOf({ url }: InferenceProcess, { name }: Numbered): Promise<string | undefined> {
  const models = (await postJson(`${url}/v2/repository/index`, {})) as { name: string; state: string }[];
  return models.find((each) => each.name === name)?.state;
}

async function scored({ url }: InferenceProcess, { name }: Numbered): Promise<number | string> {
  const response = await fetch(`${url}/v1/endpoints/${name}/score`, {
    method: 'POST',
    headers: JSON_TYPE,
    body: '{"records":[{"x":1}]}',
  });
  const text = await response.text();
  const number = /"outputs":\{"version":(\d+)\}/.exec(text)?.[1];
  return response.status === 200 && number !== undefined ? Number(number) : `${response.status} ${text}`;
}

/** What the lane leaves to Fastify, on connections that come back to the lane. */
async function askOthers({ url }: InferenceProcess): Promise<void> {
  for (const path of ['/v2/models/echo', '/v2/models/number/ready', '/v2/health/live', '/v2/models/echo/stats']) {
    const response = await fetch(`${url}${path}`);
    await response.text();
    if (response.status !== 200) throw new Error(`${path}: ${response.status}`);
  }
}

/** What the server holds. */
interface Sample {
  /** JavaScript's own, with what was not collected yet. */
  readonly heapBytes: number;
  /** All other resident memory: sessions, code, stacks, and what the allocator keeps. */
  readonly nativeBytes: number;
  readonly openFiles: number;
  readonly threads: number;
  /** That have series of metrics. */
  readonly versions: number;
}

async function sampleOf(server: InferenceProcess): Promise<Sample> {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  const bytes = (name: string) => Number(new RegExp(`^nodejs_${name}_bytes (.+)$`, 'm').exec(text)?.[1]);
  const { residentBytes, openFiles, threads } = server.usage();
  return {
    heapBytes: bytes('heap_size_used'),
    nativeBytes: residentBytes - bytes('heap_size_total') - bytes('external_memory'),
    openFiles,
    threads,
    versions: new Set(text.match(/endpoint="[^"]+",model="[^"]+",version="[^"]+"/g)).size,
  };
}

/** From the second third of the samples to the last: the first one compiles, and fills caches and pools. */
function growthOf(samples: readonly Sample[]): Sample {
  const third = Math.floor(samples.length / 3);
  const [before, after] = [samples.slice(third, 2 * third), samples.slice(2 * third)];
  const sorted = (from: readonly Sample[], what: keyof Sample) =>
    from.map((each) => each[what]).toSorted((x, y) => x - y);
  const median = (what: keyof Sample) => {
    const [old = Number.NaN, now = Number.NaN] = [before, after].map((from) => sorted(from, what)[from.length >> 1]);
    return now - old;
  };
  return {
    // Right after a collection it is what is in use.
    heapBytes: (sorted(after, 'heapBytes')[0] ?? Number.NaN) - (sorted(before, 'heapBytes')[0] ?? Number.NaN),
    nativeBytes: median('nativeBytes'),
    openFiles: median('openFiles'),
    threads: median('threads'),
    versions: median('versions'),
  };
}

test('a server whose models come and go under load', { timeout: (SECONDS + 300) * 1000 }, async () => {
  await using folder = await temporaryFolder();
  const dir = folder.path;
  await using registry = await startRegistry();
  const first = await versionModel(dir, 1);
  const numbers: Numbers = new Map([[first.digest, 1]]);
  registry.route('number', [{ made: first, weight: 10_000 }]);
  registry.route('echo', [{ made: await echoModel(dir), weight: 10_000 }]);
  const models: Numbered[] = [];
  for (let i = 0; i < MODELS; i++) {
    const number = 1_000_000 + i;
    models.push({ name: `model-${i}`, number, made: await versionModel(dir, number) });
  }
  await using server = await startInference({
    dir: await mkdtemp(join(dir, 'cache-')),
    registryUrl: registry.url,
    settings: { GRPC_PORT: 0, MODEL_MEMORY_BYTES: BUDGET_BYTES },
    entry: BUNDLE,
  });
  const address = { url: server.url, grpc: server.grpc ?? '' };
  await expect.poll(async () => (await fetch(`${server.url}/readyz`)).status, WITHIN).toBe(200);

  const load = new Load();
  const pick = () => address;
  const clients = [
    ...[fetchClient, agentClient, rawClient, rawClient, grpcStreamClient].map((way) => way(pick)),
    grpcClient([address]),
  ];
  for (const client of clients) addClient(load, client);
  const watcher = agentClient(pick);
  addSwaps(load, registry, dir, watcher, numbers);
  addNamedVersions(load, server, numbers);
  for (let i = 0; i < CHURNERS; i++) {
    addChurner(
      load,
      registry,
      server,
      models.filter((_, at) => at % CHURNERS === i),
    );
  }
  load.run('one row as JSON', PAUSE_MS, () => askJson(server, 1));
  load.run('32 rows as JSON', PAUSE_MS, () => askJson(server, 32));
  load.run('32 rows as bytes', PAUSE_MS, () => askBinary(server));
  await using channel = http2Client(server.grpc);
  for (let i = 0; i < 2; i++) load.run('32 rows by gRPC', PAUSE_MS, () => askGrpc(channel));
  load.run('the others', 25 * PAUSE_MS, () => askOthers(server));

  const samples: Sample[] = [];
  const every = Math.ceil(SECONDS / 90);
  try {
    await load.forSeconds(SECONDS, async (second) => {
      if (second % every === 0) samples.push(await sampleOf(server));
    });
  } finally {
    for (const client of [...clients, watcher]) client.close();
  }
  const grown = growthOf(samples);
  const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);
  console.log(`${SECONDS} s: ${Array.from(load.counts, ([what, count]) => `${what} ${count}`).join(', ')}`);
  const some = samples.filter((_, i) => i % 5 === 0);
  for (const what of ['heapBytes', 'nativeBytes'] as const) {
    console.log(
      `${what}: ${some.map((each) => megabytes(each[what])).join(' ')} MB; grown by ${megabytes(grown[what])} MB`,
    );
  }
  const mostVersions = Math.max(...samples.map(({ versions }) => versions));
  console.log(`files ${grown.openFiles}, threads ${grown.threads} more; series of ${mostVersions} versions at most`);
  expect(load.counts.get('swap')).toBeGreaterThan(3);
  expect(load.counts.get('unload of a model')).toBeGreaterThan(CHURNERS);
  expect(grown.heapBytes).toBeLessThan(MORE_HEAP_BYTES);
  expect(grown.nativeBytes).toBeLessThan(MORE_NATIVE_BYTES);
  expect(grown.openFiles).toBeLessThan(MORE_HANDLES);
  expect(grown.threads).toBeLessThan(MORE_HANDLES);
  expect(mostVersions).toBeGreaterThan(CHURNERS); // they are there, and told apart
  expect(mostVersions).toBeLessThanOrEqual(MOST_VERSIONS);
  expect(server.log()).toBe('');
  expect(await server.stop()).toBe(0);
});
