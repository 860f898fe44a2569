import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { addToScrapes, combineSnapshots, countedOf, snapshotMetrics } from './metric-snapshots.ts';
import { counter, createMetrics, defineMetrics, gauge, histogram } from './metrics.ts';

const definition = defineMetrics('thread', {
  records: counter({ name: 'assay_test_records_total', help: 'Records.', labels: ['pipeline'] }),
  lag: gauge({ name: 'assay_test_lag', help: 'Lag.', labels: ['partition'] }),
  state: gauge({ name: 'assay_test_state', help: 'State.' }),
  latency: histogram({ name: 'assay_test_latency_seconds', help: 'Latency.', unit: 'seconds', buckets: [1, 2] }),
});
const NAMES = new Set(Object.values(definition.metrics).map(({ name }) => name));

function counted(records: number, state: number) {
  const { registry, metrics } = createMetrics(definition, { registry: new Registry() });
  metrics.records.bind({ pipeline: 'a' }).inc(records);
  metrics.state.bind({}).set(state);
  metrics.latency.bind({}).observe(1.5);
  return { registry, metrics };
}

const linesOf = async (registry: Registry) =>
  (await registry.metrics()).split('\n').filter((line) => line.startsWith('assay_'));

test('a scrape has what other threads counted, each series once', async () => {
  const mine = counted(3, 0);
  const theirs = counted(4, 1);
  theirs.metrics.lag.bind({ partition: '5' }).set(7);
  let asked = 0;
  addToScrapes(
    mine.registry,
    NAMES,
    async () => {
      asked++;
      // A clone, as it comes from a thread.
      return structuredClone(await snapshotMetrics(theirs.registry));
    },
    (name) => (name === 'assay_test_state' ? 'max' : 'sum'),
  );
  for (const scrape of [1, 2]) {
    const lines = await linesOf(mine.registry);
    expect(asked).toBe(scrape);
    expect(lines).toEqual(
      expect.arrayContaining([
        'assay_test_records_total{pipeline="a"} 7',
        'assay_test_lag{partition="5"} 7',
        'assay_test_state 1',
        'assay_test_latency_seconds_bucket{le="1"} 0',
        'assay_test_latency_seconds_bucket{le="2"} 2',
        'assay_test_latency_seconds_sum 3',
        'assay_test_latency_seconds_count 2',
      ]),
    );
    expect(new Set(lines).size).toBe(lines.length);
  }
  mine.metrics.records.bind({ pipeline: 'a' }).inc(10);
  expect(await linesOf(mine.registry)).toContain('assay_test_records_total{pipeline="a"} 17');
});

test('metrics that are not named, and threads that say nothing, leave a scrape as it was', async () => {
  const mine = counted(3, 1);
  const before = await linesOf(mine.registry);
  const theirs = await snapshotMetrics(counted(4, 1).registry);
  addToScrapes(mine.registry, new Set(['assay_test_lag']), async () => theirs);
  expect(await linesOf(mine.registry)).toEqual(before);
  const other = counted(3, 1);
  addToScrapes(other.registry, NAMES, async () => []);
  expect(await linesOf(other.registry)).toEqual(before);
});

test('what an ended thread counted stays, and how things stood in it goes', async () => {
  const ended = countedOf(await snapshotMetrics(counted(4, 1).registry));
  expect(ended.map(({ name }) => name)).toEqual(['assay_test_records_total', 'assay_test_latency_seconds']);
  const both = combineSnapshots([ended, await snapshotMetrics(counted(1, 1).registry)]);
  expect(both.find(({ name }) => name === 'assay_test_records_total')?.values).toEqual([
    { labels: { pipeline: 'a' }, value: 5 },
  ]);
});
