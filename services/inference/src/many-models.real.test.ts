import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { RoutedEndpoint, RoutedVersion, RoutingSnapshot } from '@assay/contracts';
import { expect, test, vi } from 'vitest';
import { type InferenceUnderTest, serveModels, temporaryFolder } from './inference-under-test.ts';
import { type MadeModel, versionGraph, versionModel } from './models-under-test.ts';
import type { ModelSource } from './routing/open-source.ts';

const MODELS = 1000;
const BROKEN = 500;
/** Room for some 140 of them. */
const BUDGET_BYTES = 100_000_000;
/** Half of the models would hold some 100 MB if they stayed once they are woken. */
const MAX_GROWTH_BYTES = 60_000_000;

/** The package of `versionModel`, with another number: writing a file or two costs less than making each anew. */
async function copyWithNumber(dir: string, template: MadeModel, number: number): Promise<RoutedVersion> {
  const manifest = JSON.parse(await readFile(join(template.dir, 'assay.json'), 'utf8'));
  const onnx = versionGraph(number);
  manifest.files['model.onnx'] = { sha256: sha256(onnx), sizeBytes: onnx.length };
  manifest.golden.outputs = [{ version: number }];
  const text = JSON.stringify(manifest);
  const contents: Readonly<Record<string, Uint8Array | string>> = { 'assay.json': text, 'model.onnx': onnx };
  const files = template.files.map((file) => {
    const content = contents[file.path];
    return content === undefined ? file : { ...file, sha256: sha256(content), sizeBytes: content.length };
  });
  await mkdir(dir);
  await writeFile(join(dir, 'assay.json'), text);
  await writeFile(join(dir, 'model.onnx'), onnx);
  await writeFile(join(dir, 'MLmodel'), await readFile(join(template.dir, 'MLmodel')));
  const name = `model-${number}`;
  return { id: name, modelId: name, modelName: name, version: 1, digest: sha256(text), files };
}

async function manyModels(dir: string): Promise<ModelSource> {
  const template = await versionModel(dir, 0);
  const versions: RoutedVersion[] = [];
  const endpoints: RoutedEndpoint[] = [];
  for (let number = 1; number <= MODELS; number++) {
    const version = await copyWithNumber(join(dir, `model-${number}`), template, number);
    versions.push(version);
    endpoints.push({
      id: `ept_${number}`,
      name: version.modelName,
      revision: 1,
      contract: template.manifest.signature,
      salt: String(number),
      defaultTimeoutMs: 10_000,
      variants: [{ versionId: version.id, weight: 10_000 }],
    });
  }
  await writeFile(join(dir, `model-${BROKEN}`, 'model.onnx'), 'this is no model');
  const snapshot: RoutingSnapshot = { revision: 1, endpoints, versions };
  return {
    isStatic: false,
    routing: {
      next: async (after, signal) =>
        after === undefined ? snapshot : new Promise((_, reject) => signal.addEventListener('abort', reject)),
    },
    packages: { fetch: async ({ id }) => join(dir, id) },
  };
}

function sha256(content: Uint8Array | string): string {
  return createHash('sha256').update(content).digest('hex');
}

/** Resident memory without garbage. */
function residentBytes(): number {
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  collect();
  collect();
  return process.memoryUsage().rss;
}

async function metricOf({ get }: InferenceUnderTest, name: string): Promise<number> {
  const { text } = await get('/metrics');
  return Number(new RegExp(`^assay_inference_${name} (.+)$`, 'm').exec(text)?.[1]);
}

test('a thousand models share a server that has room for a seventh of them', { timeout: 120_000 }, async () => {
  await using folder = await temporaryFolder();
  const models = await manyModels(folder.path);
  await using inference = await serveModels(folder.path, models, { modelMemoryBytes: BUDGET_BYTES });
  const scored = async (number: number) => {
    const { status, body } = await inference.post(`/v1/endpoints/model-${number}/score`, { records: [{ x: 1 }] });
    return status === 200 ? body.predictions[0].outputs.version : body.error.message;
  };
  const wakes = () => metricOf(inference, 'version_wake_seconds_count');

  await vi.waitFor(async () => expect((await inference.get('/readyz')).status).toBe(200), { timeout: 60_000 });
  const ready = await inference.get('/readyz');
  expect(ready.text).toContain(`endpoint \\"model-${BROKEN}\\"`);
  const index = (await inference.post('/v2/repository/index', '')).body as { name: string; state: string }[];
  expect(index.filter(({ state }) => state !== 'READY').map(({ name }) => name)).toEqual([`model-${BROKEN}`]);
  const awake = await metricOf(inference, 'loaded_versions');
  expect(awake).toBeGreaterThan(100);
  expect(await metricOf(inference, 'resting_versions')).toBe(MODELS - 1 - awake);

  const wrong: unknown[] = [];
  /** Eight callers at a time, each with every eighth model. */
  const scoreAll = (from: number, to: number) =>
    Promise.all(
      Array.from({ length: 8 }, async (_, caller) => {
        for (let number = from + caller; number <= to; number += 8) {
          const answer = await scored(number);
          if (number === BROKEN) expect(answer).toMatch(/failed to load/);
          else if (answer !== number) wrong.push([number, answer]);
        }
      }),
    );
  await scoreAll(1, MODELS);
  const before = residentBytes(); // with whatever the process needs to be busy, and what its allocator keeps
  await scoreAll(1, MODELS / 2);
  expect(wrong).toEqual([]);
  expect(await metricOf(inference, 'model_memory_bytes')).toBeLessThanOrEqual(BUDGET_BYTES);
  expect(residentBytes() - before).toBeLessThan(MAX_GROWTH_BYTES);

  // The last ones stayed; the others left long ago, and each takes the place of the one that was used longest ago.
  const woken = await wakes();
  const last = MODELS / 2 - 1; // the one behind it is broken
  for (let number = last; number > last - 50; number--) expect(await scored(number)).toBe(number);
  expect(await wakes()).toBe(woken);
  expect(await scored(1)).toBe(1);
  expect(await wakes()).toBe(woken + 1);
  expect(await scored(last)).toBe(last);
  expect(await wakes()).toBe(woken + 1);
});
