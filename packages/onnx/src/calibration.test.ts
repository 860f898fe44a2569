import { describe, expect, it } from 'vitest';
import type { Calibration } from './calibration.ts';
import { buildTabularModel, type TabularModel } from './tabular-model.ts';
import { bitsOf, feed, loadGraph } from './testing/run-graph.ts';

/** A model whose raw score is its feature. */
const MODEL: TabularModel = {
  features: [{ name: 'x', dtype: 'float64', encoding: { kind: 'number' } }],
  predictor: { kind: 'linear', intercept: 0, terms: [{ kind: 'number', mean: 0, scale: 1, weight: 1 }] },
};
const SCORES = Float64Array.from({ length: 400 }, (_, i) => (i - 200) / 20);
const sigmoid = (z: number) => 1 / (1 + Math.exp(-z));

async function run(calibration: Calibration, scores = SCORES): Promise<readonly number[]> {
  const graph = await loadGraph(buildTabularModel({ ...MODEL, calibration }));
  const outputs = await graph.run({ x: feed({ type: 'float64', data: scores }) });
  const probabilities = [...(outputs.probabilities?.data ?? [])].map(Number);
  const positive = probabilities.filter((_, i) => i % 2 === 1);
  expect(positive).toHaveLength(scores.length);
  for (const p of probabilities) expect(p >= 0 && p <= 1).toBe(true);
  for (const [row, label] of [...(outputs.label?.data ?? [])].entries()) {
    const p = positive[row] ?? 0;
    if (p !== 0.5) expect(label).toBe(p > 0.5 ? 1n : 0n);
  }
  return positive;
}

/** Linear interpolation as a textbook has it. */
function interpolate(x: readonly number[], y: readonly number[], p: number): number {
  const k = x.findLastIndex((knot) => knot <= p);
  const [x0 = 0, x1 = 1, y0 = 0, y1 = 1] = [x[k], x[k + 1], y[k], y[k + 1]];
  if (k < 0) return y[0] ?? 0;
  return k === x.length - 1 ? y0 : y0 + ((y1 - y0) * (p - x0)) / (x1 - x0);
}

describe('calibration in a graph', () => {
  it('scales the raw score (Platt)', async () => {
    const probabilities = await run({ kind: 'platt', slope: 1.7, intercept: -0.4 });
    for (const [row, p] of probabilities.entries()) expect(p).toBeCloseTo(sigmoid(1.7 * (SCORES[row] ?? 0) - 0.4), 7);
  });

  it('maps the probability by straight lines between the knots, and by the nearest knot outside (isotonic)', async () => {
    const [x, y] = [
      [0.1, 0.35, 0.4, 0.75],
      [0, 0.2, 0.6, 1],
    ];
    const probabilities = await run({ kind: 'isotonic', x, y });
    for (const [row, p] of probabilities.entries()) {
      expect(p).toBeCloseTo(interpolate(x, y, sigmoid(SCORES[row] ?? 0)), 7);
    }
    expect(probabilities[0]).toBe(0);
    expect(probabilities.at(-1)).toBe(1);
  });

  it('takes a thousand knots, with the same bits at every batch size', async () => {
    const x = Array.from({ length: 1000 }, (_, i) => (i + 1) / 1001);
    const y = x.map((knot) => knot ** 2);
    const calibration: Calibration = { kind: 'isotonic', x, y };
    const whole = await run(calibration);
    for (const [row, p] of whole.entries()) expect(p).toBeCloseTo(interpolate(x, y, sigmoid(SCORES[row] ?? 0)), 7);
    const graph = await loadGraph(buildTabularModel({ ...MODEL, calibration, withRawScore: true }));
    const all = (await graph.run({ x: feed({ type: 'float64', data: SCORES }) })).probabilities?.data ?? [];
    for (const size of [1, 2, 7]) {
      for (let from = 0; from + size <= SCORES.length; from += size) {
        const outputs = await graph.run({ x: feed({ type: 'float64', data: SCORES.slice(from, from + size) }) });
        expect(bitsOf(outputs.probabilities?.data ?? [])).toBe(bitsOf(all.slice(from * 2, (from + size) * 2)));
      }
    }
  });

  it('takes a single knot: a constant', async () => {
    expect(new Set(await run({ kind: 'isotonic', x: [0.5], y: [0.25] }))).toEqual(new Set([0.25]));
  });

  it.each<[string, Calibration, string]>([
    ['a slope of NaN', { kind: 'platt', slope: Number.NaN, intercept: 0 }, 'the slope of calibration is NaN'],
    ['no knots', { kind: 'isotonic', x: [], y: [] }, 'needs pairs'],
    ['x without y', { kind: 'isotonic', x: [0, 1], y: [0] }, 'has 2 x and 1 y'],
    ['a knot outside of [0, 1]', { kind: 'isotonic', x: [0, 2], y: [0, 1] }, 'a knot at 2'],
    ['x that stand still', { kind: 'isotonic', x: [0.5, 0.5], y: [0, 1] }, 'must ascend'],
    ['y that descend', { kind: 'isotonic', x: [0, 1], y: [1, 0] }, 'must not descend'],
  ])('refuses %s', (_, calibration, message) => {
    expect(() => buildTabularModel({ ...MODEL, calibration })).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(message) }),
    );
  });
});
