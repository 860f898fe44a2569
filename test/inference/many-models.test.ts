/**
 * A thousand models behind one server that has room for a seventh of them. It is a process of its own, the bundle with the
 * allocator's settings of the images, and all that it holds is held against what may be: a server with one model, what
 * a resting model costs, and the limit.
 */
import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { type MadeModel, versionGraph, versionModel } from '../../services/inference/src/models-under-test.ts';
import {
  descendantsOf,
  type InferenceProcess,
  proportionalBytes,
  type Settings,
  startInference,
} from '../../services/inference/src/process-under-test.ts';
import { startRegistry } from '../../services/inference/src/registry-under-test.ts';
import { ROOT, temporaryFolder } from '../parts/assay.ts';

const BUNDLE = join(ROOT, 'dist/entries/services-inference-inference.mjs');
const MODELS = 1000;
const BROKEN = 500;
/** Room for some 140 of them, by what they are taken to hold. */
const BUDGET_BYTES = 250_000_000;
/** The most that one of them was measured to hold. */
const MODEL_BYTES = 1_200_000;
/** What is known of a version whose memory was given back: routing, signature, findings, statistics, series of metrics. */
const RESTING_BYTES = 60_000;
/** What JavaScript has not collected yet while models come and go. */
const GARBAGE_BYTES = 64_000_000;

function sha256(content: Uint8Array | string): string {
  return createHash('sha256').update(content).digest('hex');
}

/** The package of `versionModel`, with another number: writing files costs less than making each anew. */
async function copyWithNumber(parent: string, template: MadeModel, number: number): Promise<MadeModel> {
  const dir = join(parent, `model-${number}`);
  const manifest = structuredClone(template.manifest);
  const onnx = versionGraph(number);
  const text = JSON.stringify({
    ...manifest,
    files: { ...manifest.files, 'model.onnx': { sha256: sha256(onnx), sizeBytes: onnx.length } },
    golden: { ...manifest.golden, outputs: [{ version: number }] },
  });
  const contents: Readonly<Record<string, Uint8Array | string>> = { 'assay.json': text, 'model.onnx': onnx };
  const files = template.files.map((file) => {
    const content = contents[file.path];
    return content === undefined ? file : { ...file, sha256: sha256(content), sizeBytes: content.length };
  });
  await mkdir(dir);
  for (const [path, content] of Object.entries(contents)) await writeFile(join(dir, path), content);
  await writeFile(join(dir, 'MLmodel'), await readFile(join(template.dir, 'MLmodel')));
  return { ...template, dir, files, digest: sha256(text) };
}

async function makeModels(dir: string, count: number): Promise<MadeModel[]> {
  const template = await versionModel(dir, 0);
  const made: MadeModel[] = [];
  for (let number = 1; number <= count; number++) made.push(await copyWithNumber(dir, template, number));
  return made;
}

async function metricOf({ url }: InferenceProcess, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(new RegExp(`^assay_inference_${name} (.+)$`, 'm').exec(text)?.[1]);
}

/** The number that the model gives, or the error as text. */
async function scored({ url }: InferenceProcess, number: number): Promise<unknown> {
  const response = await fetch(`${url}/v1/endpoints/model-${number}/score`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ records: [{ x: 1 }] }),
  });
  const text = await response.text();
  return response.status === 200 ? Number(/"outputs":\{"version":(\d+)\}/.exec(text)?.[1]) : text;
}

/** The packages are on its disk already, as after a restart: what is measured is no download. */
async function serve(dir: string, models: readonly MadeModel[], settings: Settings) {
  await using resources = new AsyncDisposableStack(); // until all is up
  const registry = resources.use(await startRegistry());
  for (const [i, made] of models.entries()) registry.route(`model-${i + 1}`, [{ made, weight: 10_000 }]);
  const cacheDir = await mkdtemp(join(dir, 'cache-'));
  for (const made of models) await cp(made.dir, join(cacheDir, 'packages', made.digest), { recursive: true });
  const server = resources.use(
    await startInference({
      dir: cacheDir,
      registryUrl: registry.url,
      settings: { MAX_CONCURRENT_LOADS: 2, ...settings },
      entry: BUNDLE,
    }),
  );
  const status = async () => (await fetch(`${server.url}/readyz`)).status;
  await expect.poll(status, { timeout: 200_000, interval: 100 }).toBe(200);
  const whole = resources.move();
  return { server, [Symbol.asyncDispose]: () => whole.disposeAsync() };
}

/** What server and model processes hold, the most of it so far; of what they share each has its part. */
function watchMemory({ pid }: InferenceProcess) {
  let mostBytes = 0;
  let isOver = false;
  const held = (): number => {
    return [pid, ...descendantsOf(pid)].reduce((sum, each) => sum + proportionalOrNothing(each), 0);
  };
  const watching = (async () => {
    while (!isOver) {
      mostBytes = Math.max(mostBytes, held());
      await delay(100);
    }
  })();
  return {
    async stop() {
      isOver = true;
      await watching;
      return { mostBytes };
    },
  };
}

/** A model's process may end between two looks. */
function proportionalOrNothing(pid: number): number {
  try {
    return proportionalBytes(pid);
  } catch {
    return 0;
  }
}

/** What a server with one model holds once it is warm. */
async function baseOf(dir: string, models: readonly MadeModel[], settings: Settings): Promise<number> {
  await using one = await serve(dir, models.slice(0, 1), settings);
  for (let i = 0; i < 2000; i++) expect(await scored(one.server, 1)).toBe(1);
  return [one.server.pid, ...descendantsOf(one.server.pid)].reduce((sum, pid) => sum + proportionalBytes(pid), 0);
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;

test('a thousand models share a server that has room for a seventh of them', { timeout: 500_000 }, async () => {
  await using folder = await temporaryFolder();
  const models = await makeModels(folder.path, MODELS);
  const settings = { MODEL_MEMORY_BYTES: BUDGET_BYTES };
  const base = await baseOf(folder.path, models, settings);
  await writeFile(join(models[BROKEN - 1]?.dir ?? '', 'model.onnx'), 'this is no model');
  await using started = await serve(folder.path, models, settings);
  const { server } = started;
  const memory = watchMemory(server);
  const wakes = () => metricOf(server, 'version_wake_seconds_count');

  expect(await (await fetch(`${server.url}/readyz`)).text()).toContain(`endpoint \\"model-${BROKEN}\\"`);
  const index = await fetch(`${server.url}/v2/repository/index`, { method: 'POST' });
  const entries = (await index.json()) as { name: string; state: string }[];
  expect(entries.filter(({ state }) => state !== 'READY').map(({ name }) => name)).toEqual([`model-${BROKEN}`]);
  const awake = await metricOf(server, 'loaded_versions');
  expect(awake).toBeGreaterThan(100);
  expect(await metricOf(server, 'resting_versions')).toBe(MODELS - 1 - awake);

  const wrong: unknown[] = [];
  /** Eight callers at a time, each with every eighth model. */
  const scoreAll = (from: number, to: number) =>
    Promise.all(
      Array.from({ length: 8 }, async (_, caller) => {
        for (let number = from + caller; number <= to; number += 8) {
          const answer = await scored(server, number);
          if (number === BROKEN) expect(answer).toMatch(/failed to load/);
          else if (answer !== number) wrong.push([number, answer]);
        }
      }),
    );
  await scoreAll(1, MODELS);
  await scoreAll(1, MODELS / 2);
  expect(wrong).toEqual([]);
  expect(await metricOf(server, 'model_memory_bytes')).toBeLessThanOrEqual(BUDGET_BYTES);
  const { mostBytes } = await memory.stop();
  console.log(
    `one model ${megabytes(base)}, a thousand within ${megabytes(BUDGET_BYTES)}: ${megabytes(mostBytes)} at most`,
  );
  expect(mostBytes).toBeLessThan(base + awake * MODEL_BYTES + MODELS * RESTING_BYTES + GARBAGE_BYTES);

  // The last ones stayed; the others left long ago, and each takes the place of the one that was used longest ago.
  const woken = await wakes();
  const last = MODELS / 2 - 1; // the one behind it is broken
  for (let number = last; number > last - 50; number--) expect(await scored(server, number)).toBe(number);
  expect(await wakes()).toBe(woken);
  expect(await scored(server, 1)).toBe(1);
  expect(await wakes()).toBe(woken + 1);
  expect(await scored(server, last)).toBe(last);
  expect(await wakes()).toBe(woken + 1);
});

test.each([
  { settings: { PLACEMENT: 'thread' }, budgetBytes: 100_000_000, fit: 4 },
  { settings: { ISOLATION: 'process' }, budgetBytes: 250_000_000, fit: 3 },
])(
  '$settings: a dozen models within the memory of a few',
  { timeout: 120_000 },
  async ({ settings, budgetBytes, fit }) => {
    await using folder = await temporaryFolder();
    const models = await makeModels(folder.path, 12);
    const limited = { ...settings, MODEL_MEMORY_BYTES: budgetBytes };
    const base = await baseOf(folder.path, models, limited);
    await using started = await serve(folder.path, models, limited);
    const { server } = started;
    const memory = watchMemory(server);
    for (let round = 0; round < 3; round++) {
      for (let number = 1; number <= models.length; number++) expect(await scored(server, number)).toBe(number);
      expect(await metricOf(server, 'loaded_versions')).toBe(fit);
    }
    const { mostBytes } = await memory.stop();
    console.log(`${JSON.stringify(settings)}: one model ${megabytes(base)}, a dozen ${megabytes(mostBytes)} at most`);
    expect(mostBytes).toBeLessThan(base + budgetBytes);
    // A process that was told to end is there for a moment beside those that have its place.
    const children = 'ISOLATION' in settings ? fit : 0;
    await expect.poll(() => descendantsOf(server.pid), { timeout: 20_000 }).toHaveLength(children);
  },
);
