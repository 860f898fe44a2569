import { expect, test } from 'vitest';
import { counter, createMetrics, createRegistry, defineMetrics, describeMetrics, gauge, histogram } from './metrics.ts';

const definition = defineMetrics('inference', {
  requests: counter({
    name: 'assay_test_requests_total',
    help: 'Requests.',
    labels: ['endpoint', 'code'],
    maxSeries: 3,
  }),
  loaded: gauge({ name: 'assay_test_loaded', help: 'Loaded.' }),
  latency: histogram({
    name: 'assay_test_latency_seconds',
    help: 'Latency.',
    unit: 'seconds',
    labels: ['endpoint'],
    buckets: [0.1, 1],
  }),
});

async function scrape(registry: { metrics(): Promise<string> }): Promise<string[]> {
  return (await registry.metrics()).split('\n').filter((line) => line.startsWith('assay_test_'));
}

test('what bound children counted is exported', async () => {
  const { registry, metrics } = createMetrics(definition);
  const ok = metrics.requests.bind({ endpoint: 'a"b', code: '200' });
  ok.inc();
  ok.inc(2);
  metrics.loaded.bind({}).set(5);
  metrics.loaded.bind({}).dec();
  expect(metrics.requests.bind({ endpoint: 'a"b', code: '200' })).toBe(ok);
  expect(await scrape(registry)).toEqual(
    expect.arrayContaining(['assay_test_requests_total{endpoint="a\\"b",code="200"} 3', 'assay_test_loaded 4']),
  );
});

test('a histogram has cumulative buckets, a bound belonging to its own', async () => {
  const { registry, metrics } = createMetrics(definition);
  const latency = metrics.latency.bind({ endpoint: 'a' });
  for (const value of [0.05, 0.1, 0.5, 1, 7, Number.NaN]) latency.observe(value);
  expect(await scrape(registry)).toEqual(
    expect.arrayContaining([
      'assay_test_latency_seconds_bucket{endpoint="a",le="0.1"} 2',
      'assay_test_latency_seconds_bucket{endpoint="a",le="1"} 4',
      'assay_test_latency_seconds_bucket{endpoint="a",le="+Inf"} 5',
      'assay_test_latency_seconds_sum{endpoint="a"} 8.65',
      'assay_test_latency_seconds_count{endpoint="a"} 5',
    ]),
  );
});

test('label values are bounded: what comes after shares one series', async () => {
  const { registry, metrics } = createMetrics(definition);
  for (let i = 0; i < 100; i++) metrics.requests.bind({ endpoint: `e${i}`, code: '200' }).inc();
  const lines = (await scrape(registry)).filter((line) => line.includes('requests_total'));
  expect(lines).toHaveLength(4);
  expect(lines).toContain('assay_test_requests_total{endpoint="other",code="other"} 97');
});

test('a removed series is gone', async () => {
  const { registry, metrics } = createMetrics(definition);
  metrics.latency.bind({ endpoint: 'a' }).observe(1);
  metrics.latency.remove({ endpoint: 'a' });
  expect((await scrape(registry)).join()).not.toContain('endpoint="a"');
});

test('values that are looked up are fresh at each scrape', async () => {
  const { registry, metrics } = createMetrics(definition);
  let size = 1;
  metrics.loaded.onScrape(() => metrics.loaded.bind({}).set(size));
  expect(await scrape(registry)).toContain('assay_test_loaded 1');
  size = 2;
  expect(await scrape(registry)).toContain('assay_test_loaded 2');
});

test('several registries of one process each have the metrics of the process, once', async () => {
  const [first, second] = [createRegistry(), createRegistry()];
  for (const registry of [first, second]) {
    const text = await registry.metrics();
    expect(text.match(/^process_resident_memory_bytes /gm)).toHaveLength(1);
  }
  createMetrics(definition, { registry: first });
  expect(() => createMetrics(definition, { registry: first })).toThrow('already been registered');
});

test.each([
  ['assay_x', 'counter'],
  ['assay_x_total', 'gauge'],
  ['x_total', 'counter'],
  ['assay_X_total', 'counter'],
])('the name %s is refused for a %s', (name, type) => {
  const declare = type === 'counter' ? counter : gauge;
  expect(() => defineMetrics('x', { x: declare({ name, help: '' }) })).toThrow(`metric ${name}: must`);
});

test('a histogram is named after its unit and its buckets ascend', () => {
  const named = (name: string, buckets: number[]) =>
    createMetrics(defineMetrics('x', { x: histogram({ name, help: '', unit: 'seconds', buckets }) }), {
      registry: createRegistry(),
    });
  expect(() => named('assay_x_ms', [1])).toThrow('must end with its unit');
  expect(() => named('assay_x_seconds', [2, 1])).toThrow('ascend');
});

test('the table describes every metric', () => {
  expect(describeMetrics(definition)).toEqual([
    {
      section: 'inference',
      name: 'assay_test_requests_total',
      type: 'counter',
      labels: ['endpoint', 'code'],
      help: 'Requests.',
    },
    { section: 'inference', name: 'assay_test_loaded', type: 'gauge', labels: [], help: 'Loaded.' },
    {
      section: 'inference',
      name: 'assay_test_latency_seconds',
      type: 'histogram',
      unit: 'seconds',
      buckets: [0.1, 1],
      labels: ['endpoint'],
      help: 'Latency.',
    },
  ]);
});
