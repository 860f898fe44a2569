/** One set of records through every door: the same bits, for tree models and a linear one, whatever the batch. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createRegistryClient } from '@assay/client';
import type { Feature } from '@assay/contracts';
import { openPackage } from '@assay/model-package';
import { createScorer } from '@assay/scoring';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { ROOT, type StartedAssay, startAssay, temporaryFolder } from '../parts/assay.ts';

/** The last is composed of the first two. */
const MODELS = ['flight-delay', 'flight-delay-linear', 'flight-delay-xgboost', 'flight-delay-blend'];
const EXAMPLE = join(ROOT, 'examples/flights');
const BATCHES = [1, 2, 3, 7, 33, 64, 100];
const RECORDS = 200;

let assay: StartedAssay;

beforeAll(async () => {
  assay = await startAssay();
  await train(join(EXAMPLE, 'flight-delay-linear.yaml'));
  await using folder = await temporaryFolder();
  const spec = join(folder.path, 'flight-delay-xgboost.yaml');
  await writeFile(spec, stringify(await xgboostSpec()));
  await train(spec);
  await run('compose', join(EXAMPLE, 'flight-delay-blend.yaml'));
});
afterAll(async () => {
  await assay?.[Symbol.asyncDispose]();
});

async function train(spec: string): Promise<void> {
  await run('train', spec);
}

async function run(...command: readonly string[]): Promise<void> {
  const running = spawn(join(ROOT, 'tools/node'), [join(ROOT, 'cli/bin/assay.mjs'), ...command], {
    env: { ...process.env, ASSAY_DATA_DIR: assay.dataDir },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const [code] = await once(running, 'close');
  expect(code).toBe(0);
}

/** The example, with XGBoost: its thresholds are float32, its unknown airports are missing. */
async function xgboostSpec(): Promise<object> {
  const example = parse(await readFile(join(EXAMPLE, 'flight-delay.yaml'), 'utf8'));
  return {
    ...example,
    model: 'flight-delay-xgboost',
    source: { ...example.source, path: join(EXAMPLE, 'flights.parquet') },
    trainer: { name: 'xgboost', rounds: 60, params: { max_depth: 5 } },
  };
}

type Records = Record<string, unknown>[];

/** Real airports and some that the model never saw. */
function flights(): Records {
  const airports = ['ATL', 'ORD', 'DFW', 'LAX', 'BOS', 'SEA', 'XXX'];
  return Array.from({ length: RECORDS }, (_, i) => ({
    hour: (i * 7) % 24,
    weekday: 1 + (i % 7),
    distance: 100 + ((i * 37) % 2500),
    origin: airports[i % airports.length],
    destination: airports[(i * 3 + 1) % airports.length],
  }));
}

function* chunks(records: Records, size: number): Iterable<Records> {
  for (let from = 0; from < records.length; from += size) yield records.slice(from, from + size);
}

/** float32 outputs: the shortest text that reads back as the same double carries all the bits of a float32. */
const bits = (value: unknown): string =>
  JSON.stringify(value, (_, each) => (typeof each === 'bigint' ? String(each) : each));

async function post(path: string, body: unknown): Promise<Record<string, unknown>> {
  const response = await fetch(assay.run.services.inference.http + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  expect(response.status, JSON.stringify(answer)).toBe(200);
  return answer as Record<string, unknown>; // a 200 of these routes is an object
}

async function named(model: string, records: Records): Promise<number[]> {
  const answer = await post(`/v1/endpoints/${model}/score`, { records });
  const predictions = answer.predictions as { outputs: { probabilities: number[] } }[]; // the door's documented shape
  return predictions.flatMap(({ outputs }) => outputs.probabilities);
}

const OIP_TYPES = {
  float32: 'FP32',
  float64: 'FP64',
  int64: 'INT64',
  string: 'BYTES',
  bool: 'BOOL',
  timestamp: 'INT64',
};

async function openInference(model: string, features: Feature[], records: Records): Promise<number[]> {
  const inputs = features.map(({ name, dtype }) => ({
    name,
    datatype: OIP_TYPES[dtype],
    shape: [records.length, 1],
    data: records.map((record) => record[name]),
  }));
  const answer = await post(`/v2/models/${model}/infer`, { inputs });
  const outputs = answer.outputs as { name: string; data: number[] }[]; // the protocol's shape
  return outputs.find(({ name }) => name === 'probabilities')?.data ?? [];
}

describe.each(MODELS)('%s', (model) => {
  it('gives the same bits by named records, Open Inference Protocol and in process, at every batch size', async () => {
    await using folder = await temporaryFolder();
    const registry = createRegistryClient({ url: assay.run.services.registry.http });
    const dir = join(folder.path, 'package');
    const version = await registry.getVersion(model, 1);
    await registry.downloadPackage(version, dir);
    await registry.close();
    const scorer = await createScorer(await openPackage(dir));
    const records = flights();
    const batch = scorer.newBatch(RECORDS);
    batch.appendRecords(records);
    const reference = await scorer.run(batch);
    const expected = records.flatMap((_, row) => reference.record(row).probabilities);
    scorer.close();
    expect(new Set(expected.map(String)).size).toBeGreaterThan(RECORDS / 2); // a model that always says the same proves nothing
    expect(scorer.batchInvariant).toBe(true);

    for (const size of BATCHES) {
      const byName: number[] = [];
      const byTensor: number[] = [];
      for (const part of chunks(records, size)) {
        byName.push(...(await named(model, part)));
        byTensor.push(...(await openInference(model, version.signature.features, part)));
      }
      expect(bits(byName), `named records, ${size} at once`).toBe(bits(expected));
      expect(bits(byTensor), `Open Inference Protocol, ${size} at once`).toBe(bits(expected));
    }
  });

  it('gives the same bits when many requests meet in one batch', async () => {
    const records = flights();
    const alone: number[][] = [];
    for (const record of records) alone.push(await named(model, [record]));
    const together = await Promise.all(records.map((record) => named(model, [record])));
    expect(bits(together)).toBe(bits(alone));
  });
});

it('a version composed of two gives the calibrated mean of what they give', async () => {
  const records = flights();
  const [trees = [], linear = [], blend = []] = await Promise.all(
    ['flight-delay', 'flight-delay-linear', 'flight-delay-blend'].map((model) => named(model, records)),
  );
  // As examples/flights/flight-delay-blend.yaml has it.
  const mean = trees.map((probability, i) => Math.fround(probability * 0.75 + (linear[i] ?? 0) * 0.25));
  for (let i = 1; i < blend.length; i += 2) {
    const logit = Math.log(mean[i] ?? 0) - Math.log(1 - (mean[i] ?? 0));
    expect(blend[i]).toBeCloseTo(1 / (1 + Math.exp(-(1.05 * logit + 0.02))), 6);
  }
});
