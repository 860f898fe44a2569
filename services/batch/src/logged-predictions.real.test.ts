import { join } from 'node:path';
import { type BatchSpec, matches, type PredictionEntry, PredictionsLogged, TOPICS } from '@assay/contracts';
import { openPackage, parseExactJson } from '@assay/model-package';
import { createScorer, exactOutputs } from '@assay/scoring';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type BatchUnderTest, readResults, startBatch, temporaryFolder } from './batch-under-test.ts';
import { flightModel, flightRecords, type MadeModel, writeCsv, writeNdjson } from './models-under-test.ts';

const ROWS = 6000;

const opened = new AsyncDisposableStack();
let folder: string;
let model: MadeModel;
let batch: BatchUnderTest;
const logged: PredictionEntry[] = [];

beforeAll(async () => {
  folder = await temporaryFolder(opened);
  model = await flightModel(folder);
  batch = opened.use(await startBatch());
  batch.registry.add(model);
  const stop = new AbortController();
  opened.defer(() => stop.abort());
  const options = {
    topics: [TOPICS.predictions],
    delivery: 'broadcast',
    from: 'earliest',
    signal: stop.signal,
  } as const;
  await batch.bus.subscribe(options, async ({ data }) => {
    if (!matches(PredictionsLogged, data)) throw new Error('no predictions are in it');
    logged.push(...data.predictions);
  });
}, 60_000);
afterAll(() => opened.disposeAsync());

test.each(['csv', 'ndjson'] as const)(
  'a share of the predictions of a %s file is logged, and replayed gives the same bits',
  async (format) => {
    logged.length = 0;
    const records = flightRecords(ROWS).map((record, i) => (i % 50 === 3 ? { ...record, hour: 99 } : record));
    const path = await (format === 'csv' ? writeCsv : writeNdjson)(join(folder, `rows.${format}`), records);
    const out = join(folder, `out-${format}`);
    const spec: BatchSpec = {
      model: 'flights',
      input: { path },
      output: { path: out },
      shardRows: 2000,
      log: { ratio: 0.1 },
    };
    const job = await batch.run(spec);
    expect(job.state).toBe('succeeded');
    const { predictionsLogged = 0, predictionsDropped } = job.result ?? {};
    expect(predictionsDropped).toBe(0);
    expect(predictionsLogged).toBeGreaterThan(ROWS / 20);
    expect(predictionsLogged).toBeLessThan(ROWS / 5);
    await vi.waitFor(() => expect(logged).toHaveLength(predictionsLogged), { timeout: 10_000 });
    let log = '';
    await batch.client.logs(job.id, (text) => {
      log += text;
    });
    const traceId = /^\S+Z trace ([0-9a-f]{32})\n/.exec(log)?.[1];
    expect(traceId).toBeDefined();
    expect(new Set(logged.map((prediction) => prediction.traceId))).toEqual(new Set([traceId]));
    const metrics = await (await fetch(`${batch.url}/metrics`)).text();
    expect(metrics).toMatch(/assay_batch_predictions_total\{outcome="logged"\} [1-9]/);
    for (const stage of ['read', 'score', 'write']) {
      const labels = `stage="${stage}",model="flights",version="1"`;
      expect(metrics).toMatch(new RegExp(`assay_batch_row_duration_seconds_count\\{${labels}\\} [1-9]`));
    }

    const results = new Map((await readResults(out)).map((row) => [row.prediction_id, row]));
    const scorer = await createScorer(await openPackage(model.dir));
    try {
      for (const entry of logged) {
        const { id, record, outputs } = entry;
        expect(entry).toMatchObject({
          door: 'batch',
          endpointId: job.id,
          endpointName: 'flights',
          versionId: job.version?.versionId,
          digest: model.digest,
          executionClass: scorer.executionClass.id,
        });
        const written = results.get(id);
        const told = parseExactJson(outputs) as { label: number; probabilities: number[] }; // of this model
        expect([BigInt(told.label), ...told.probabilities]).toEqual([
          written?.label,
          written?.probabilities_on_time,
          written?.probabilities_late,
        ]);
        const again = scorer.newBatch(1);
        again.appendRecords([parseExactJson(record)]);
        expect(exactOutputs(scorer.signature, await scorer.run(again), 0)).toBe(outputs);
      }
    } finally {
      scorer.close();
    }
  },
  60_000,
);

test('nothing is logged unless the spec asks for it', async () => {
  logged.length = 0;
  const path = await writeCsv(join(folder, 'few.csv'), flightRecords(1500));
  const job = await batch.run({ model: 'flights', input: { path }, output: { path: join(folder, 'out-few') } });
  expect(job.result?.rowsOut).toBe(1500);
  expect(job.result).not.toHaveProperty('predictionsLogged');
  expect(logged).toEqual([]);
});

test('an event log that takes no predictions drops them, counted, and does not fail the job', async () => {
  const publish = batch.bus.publish;
  const isPredictions = (topic: string) => topic === TOPICS.predictions;
  const away = vi.spyOn(batch.bus, 'publish').mockImplementation((topic, events, options) => {
    if (isPredictions(topic)) return Promise.reject(new Error('the event log is full'));
    return publish.call(batch.bus, topic, events, options);
  });
  try {
    const path = await writeCsv(join(folder, 'lost.csv'), flightRecords(1000));
    const spec: BatchSpec = {
      model: 'flights',
      input: { path },
      output: { path: join(folder, 'out-lost') },
      log: { ratio: 1 },
    };
    const job = await batch.run(spec);
    expect(job.result).toMatchObject({ rowsOut: 1000, predictionsLogged: 0, predictionsDropped: 1000 });
  } finally {
    away.mockRestore();
  }
}, 60_000);
