import { describe, expect, it } from 'vitest';
import type { LinearPredictor, LinearTerm } from './linear.ts';
import type { TabularFeature } from './tabular-features.ts';
import { buildTabularModel } from './tabular-model.ts';
import { bitsOf, type Feed, feed, loadGraph, type Outputs, rowsOf } from './testing/run-graph.ts';

const number: TabularFeature['encoding'] = { kind: 'number' };
const FEATURES: readonly TabularFeature[] = [
  { name: 'colour', dtype: 'string', encoding: { kind: 'category', values: ['red', 'green', 'blue'] } },
  { name: 'height', dtype: 'float64', encoding: number },
  { name: 'count', dtype: 'int64', encoding: number },
  { name: 'width', dtype: 'float32', encoding: number },
  { name: 'shop', dtype: 'int64', encoding: { kind: 'category', values: [7, 2n ** 60n] } },
  { name: 'open', dtype: 'bool', encoding: number },
];
const PREDICTOR: LinearPredictor = {
  kind: 'linear',
  intercept: -0.3,
  terms: [
    { kind: 'category', weights: [0.1, -0.2, 1 / 3], missing: 0.05, unknown: -0.07 },
    { kind: 'number', mean: 170.5, scale: 12.25, weight: 0.7 },
    { kind: 'number', mean: 3, scale: 2, weight: -0.11 },
    { kind: 'number', mean: 0.5, scale: 0.1, weight: 0.013 },
    { kind: 'category', weights: [0.4, 0.6] },
    { kind: 'number', mean: 0.5, scale: 0.5, weight: 0.2 },
  ],
};

const COLOURS = ['red', 'green', 'blue', '', 'None', 'nan', '<NA>', 'violet'];
const ROWS = 256;
const HEIGHTS = Float64Array.from({ length: ROWS }, (_, i) => (i % 5 === 0 ? Number.NaN : 150 + i / 7));
const FEEDS: Readonly<Record<string, Feed>> = {
  colour: feed({ type: 'string', data: Array.from({ length: ROWS }, (_, i) => COLOURS[i % 8] ?? '') }),
  height: feed({ type: 'float64', data: HEIGHTS }),
  count: feed({ type: 'int64', data: BigInt64Array.from({ length: ROWS }, (_, i) => BigInt(i % 11)) }),
  width: feed({ type: 'float32', data: Float32Array.from({ length: ROWS }, (_, i) => (i % 9) / 10) }),
  shop: feed({
    type: 'int64',
    data: BigInt64Array.from({ length: ROWS }, (_, i) => [7n, 2n ** 60n, 2n ** 60n + 1n][i % 3] ?? 0n),
  }),
  open: feed({ type: 'bool', data: Uint8Array.from({ length: ROWS }, (_, i) => i % 2) }),
};

function expectedScore(row: number): number {
  const colour = COLOURS[row % 8] ?? '';
  const known = ['red', 'green', 'blue'].indexOf(colour);
  const weights = [0.1, -0.2, 1 / 3];
  const colourTerm = known >= 0 ? (weights[known] ?? 0) : colour === 'violet' ? -0.07 : 0.05;
  const height = HEIGHTS[row] ?? 0;
  const standard = (value: number, mean: number, scale: number) => (Number.isNaN(value) ? 0 : (value - mean) / scale);
  return (
    -0.3 +
    colourTerm +
    0.7 * standard(height, 170.5, 12.25) -
    0.11 * standard(row % 11, 3, 2) +
    0.013 * standard(Math.fround((row % 9) / 10), 0.5, 0.1) +
    ([0.4, 0.6, 0][row % 3] ?? 0) +
    0.2 * standard(row % 2, 0.5, 0.5)
  );
}

async function run(): Promise<Outputs> {
  const model = { features: FEATURES, predictor: PREDICTOR, withRawScore: true };
  return (await loadGraph(buildTabularModel(model))).run(FEEDS);
}
const values = (outputs: Outputs, name: string) => [...(outputs[name]?.data ?? [])].map(Number);
const positives = (outputs: Outputs) => values(outputs, 'probabilities').filter((_, i) => i % 2 === 1);
const sigmoid = (z: number) => 1 / (1 + Math.exp(-z));

describe('a linear model in a graph', () => {
  it('imputes, standardises and weighs as its formula says', async () => {
    const outputs = await run();
    const scores = values(outputs, 'raw_score');
    expect(scores).toHaveLength(ROWS);
    scores.forEach((score, row) => {
      expect(score).toBeCloseTo(expectedScore(row), 12);
    });
    positives(outputs).forEach((p, row) => {
      expect(p).toBeCloseTo(sigmoid(expectedScore(row)), 6);
    });
    values(outputs, 'label').forEach((label, row) => {
      expect(label).toBe(expectedScore(row) > 0 ? 1 : 0);
    });
  });

  it('gives the same bits at every batch size', async () => {
    const graph = await loadGraph(buildTabularModel({ features: FEATURES, predictor: PREDICTOR }));
    const whole = await graph.run(FEEDS);
    for (const size of [1, 2, 7, 64]) {
      for (let from = 0; from + size <= ROWS; from += size) {
        const part = await graph.run(
          Object.fromEntries(Object.entries(FEEDS).map(([name, f]) => [name, rowsOf(f, from, from + size)])),
        );
        const expected = whole.probabilities?.data.slice(from * 2, (from + size) * 2) ?? [];
        expect(bitsOf(part.probabilities?.data ?? [])).toEqual(bitsOf(expected));
      }
    }
  });

  it('gives the same bits at every batch size with a hundred numbers', async () => {
    const features: TabularFeature[] = Array.from({ length: 100 }, (_, i) => ({
      name: `x${i}`,
      dtype: 'float64',
      encoding: number,
    }));
    const terms: LinearTerm[] = features.map((_, i) => ({
      kind: 'number',
      mean: i,
      scale: 1 + i,
      weight: 1 / (i - 50.5),
    }));
    const graph = await loadGraph(
      buildTabularModel({ features, predictor: { kind: 'linear', intercept: 0.1, terms }, withRawScore: true }),
    );
    const feeds = Object.fromEntries(
      features.map(({ name }, i) => [
        name,
        feed({ type: 'float64', data: Float64Array.from({ length: 64 }, (_, row) => Math.sin(row * i)) }),
      ]),
    );
    const whole = (await graph.run(feeds)).raw_score?.data ?? [];
    expect(whole).toHaveLength(64);
    for (const size of [1, 2, 7]) {
      for (let from = 0; from + size <= 64; from += size) {
        const part = Object.fromEntries(Object.entries(feeds).map(([name, f]) => [name, rowsOf(f, from, from + size)]));
        const bits = bitsOf((await graph.run(part)).raw_score?.data ?? []);
        expect(bits).toEqual(bitsOf(whole.slice(from, from + size)));
      }
    }
  });

  it('can be a constant: no weight counts', async () => {
    const features = FEATURES.slice(1, 2);
    const predictor: LinearPredictor = {
      kind: 'linear',
      intercept: Math.log(0.2 / 0.8),
      terms: [{ kind: 'number', mean: 0, scale: 1, weight: 0 }],
    };
    const outputs = await (await loadGraph(buildTabularModel({ features, predictor }))).run({
      height: feed({ type: 'float64', data: HEIGHTS }),
    });
    expect(new Set(positives(outputs))).toEqual(new Set([Math.fround(0.2)]));
  });

  it.each<[string, Partial<LinearPredictor>, string]>([
    ['too few terms', { terms: PREDICTOR.terms.slice(1) }, 'and its term are not of the same kind'],
    ['no terms', { terms: [] }, 'not of the same kind'],
    [
      'a scale of 0',
      { terms: PREDICTOR.terms.map((t) => (t.kind === 'number' ? { ...t, scale: 0 } : t)) },
      'a scale of 0',
    ],
    ['an intercept of NaN', { intercept: Number.NaN }, 'intercept" is NaN'],
    [
      'weights that do not match',
      { terms: [{ kind: 'category', weights: [1] }, ...PREDICTOR.terms.slice(1)] },
      '3 categories and 1 weights',
    ],
  ])('refuses %s', (_, change, message) => {
    const build = () => buildTabularModel({ features: FEATURES, predictor: { ...PREDICTOR, ...change } });
    expect(build).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(message) }),
    );
  });
});
