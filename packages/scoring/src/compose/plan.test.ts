import type { AssayError, CompositionStep, Signature } from '@assay/contracts';
import { expect, test } from 'vitest';
import { version } from '../testing/composing.ts';
import { feature, output } from '../testing/models.ts';
import { planComposition } from './plan.ts';

const FLIGHTS: Signature = {
  features: [feature('hour', 'int64', { unit: 'h' }), feature('distance', 'float64', { nullable: true })],
  outputs: [output('label', 'int64'), { ...output('probabilities', 'float32', [2]), classes: [0, 1] }],
};
const WORDS: Signature = {
  features: [feature('text', 'string')],
  outputs: [{ ...output('topics', 'float32', [3]), classes: ['a', 'b', 'c'] }],
};
const META: Signature = {
  features: [feature('score', 'float64'), feature('hour', 'float64')],
  outputs: [output('score_out', 'float64')],
};

/** What is wrong with the steps, as `place: message`. */
function problemsOf(
  steps: Record<string, CompositionStep>,
  outputs: Record<string, string> = { out: Object.keys(steps).at(-1) ?? '' },
): string[] {
  const signatures: Record<string, Signature> = { flights: FLIGHTS, words: WORDS, meta: META };
  const parts = Object.entries(steps).flatMap(([name, step]) => {
    const signature = 'version' in step ? signatures[step.version.split('@')[0] ?? ''] : undefined;
    return signature === undefined ? [] : [[name, signature] as const];
  });
  try {
    planComposition({ model: 'whole', steps, outputs }, new Map(parts));
    return [];
  } catch (error) {
    return (error as AssayError).details.map(({ place, message }) => `${place}: ${message}`);
  }
}

const flights = version('flights');
const words = version('words');

test.each<[string, Record<string, CompositionStep>, Record<string, string> | undefined, string]>([
  [
    'a step that is not there',
    { trees: flights, blend: { mean: ['tree.probabilities'] } },
    undefined,
    'steps.blend.mean[0]: there is no step "tree"; did you mean "trees"?',
  ],
  [
    'an output that the version does not give',
    { trees: flights },
    { p: 'trees.probability' },
    'outputs.p: "trees.probability" is nothing that step "trees" gives; it gives trees.label, trees.probabilities',
  ],
  [
    'a version of several outputs named as one',
    { trees: flights },
    { p: 'trees' },
    'outputs.p: "trees" is nothing that step "trees" gives; it gives trees.label, trees.probabilities',
  ],
  [
    'a position beyond the vector',
    { trees: flights },
    { p: 'trees.probabilities[2]' },
    'outputs.p: "trees.probabilities[2]" has no position 2: it is float32[2]',
  ],
  [
    'a circle',
    { a: version('meta', { score: 'b' }), b: { mean: ['a.score_out'] } },
    { p: 'a.score_out' },
    'steps.b.mean[0]: goes round in a circle: a → b → a',
  ],
  [
    'a feature that the version does not take',
    { a: version('flights', { distanse: { feature: 'x' } }) },
    { p: 'a.label' },
    'steps.a.inputs.distanse: flights@1 takes no feature "distanse"; did you mean "distance"?',
  ],
  [
    'a value of another type than the feature',
    { a: flights, m: version('meta', { score: 'a.label', hour: { feature: 'at' } }) },
    { p: 'm' },
    'steps.m.inputs.score: takes float64, and gets int64',
  ],
  [
    'a value of another shape than the feature',
    { a: flights, m: version('meta', { score: 'a.probabilities', hour: { feature: 'at' } }) },
    { p: 'm' },
    'steps.m.inputs.score: takes float64, and gets float32[2]',
  ],
  [
    'one name for two types',
    { a: flights, m: version('meta', { score: 'a.probabilities[1]' }) },
    { p: 'm' },
    'steps.m.inputs.hour: is float64 here, and int64 in step a; if it is another feature, give it a name: {feature: NAME}',
  ],
  [
    'a mean of vectors of several lengths',
    { a: flights, b: words, m: { mean: ['a.probabilities', 'b.topics'] } },
    undefined,
    'steps.m.mean[1]: is float32[3], and the first value is float32[2]',
  ],
  [
    'too few weights',
    { a: flights, m: { mean: ['a.probabilities', 'a.probabilities'], weights: [1] } },
    undefined,
    'steps.m.weights: has 1 weights for 2 values',
  ],
  [
    'a vote among probabilities',
    { a: flights, v: { vote: ['a.label', 'a.probabilities[0]'] } },
    undefined,
    'steps.v.vote[1]: is float32; a vote is taken among int64, string or bool labels',
  ],
  [
    'a label of a number',
    { a: flights, l: { label: 'a.probabilities[1]' } },
    undefined,
    'steps.l.label: is float32; expected a vector with a probability for each class',
  ],
  [
    'a calibration of three classes',
    { b: words, c: { platt: 'b.topics', slope: 1, intercept: 0 } },
    undefined,
    'steps.c.platt: is float32[3]; expected a probability, or a vector of the two of both classes',
  ],
  [
    'knots that go back',
    { a: flights, c: { isotonic: 'a.probabilities', x: [0.5, 0.2], y: [0.1] } },
    undefined,
    'steps.c.y: has 1 knots, and x has 2',
  ],
  ['a step that nothing uses', { a: flights, b: words }, { p: 'a.label' }, 'steps.b: goes into no output'],
  [
    'an output with the name of a feature',
    { a: flights },
    { hour: 'a.label' },
    'outputs.hour: is the name of a feature too; name the output otherwise',
  ],
])('says where and how %s does not fit', (_, steps, outputs, problem) => {
  expect(problemsOf(steps, outputs)).toContain(problem);
});

test('names every misfit at once', () => {
  expect(problemsOf({ a: flights, m: { mean: ['a.label', 'b.topics', 'a'] } })).toHaveLength(2);
});

test('knows classes that differ', () => {
  const other = { ...WORDS, outputs: [{ ...output('topics', 'float32', [3]), classes: ['a', 'c', 'b'] }] };
  const steps: Record<string, CompositionStep> = { a: words, b: words, m: { mean: ['a', 'b'] } };
  const plan = () =>
    planComposition(
      { model: 'whole', steps, outputs: { m: 'm' } },
      new Map([
        ['a', WORDS],
        ['b', other],
      ]),
    );
  expect(plan).toThrow('steps.m.mean[1]: has the classes a, c, b, and the first value a, b, c');
});

test('joins what several parts say of one feature: what every part allows', () => {
  const said = (more: Parameters<typeof feature>[2], dtype: 'float32' | 'float64' = 'float64'): Signature => ({
    features: [feature('x', dtype, more)],
    outputs: [output('y', 'float64')],
  });
  const joined = (...signatures: Signature[]) => {
    const steps = Object.fromEntries(signatures.map((_, i) => [`s${i}`, version('any')]));
    const outputs = Object.fromEntries(signatures.map((_, i) => [`o${i}`, `s${i}`]));
    const parts = new Map(signatures.map((signature, i) => [`s${i}`, signature]));
    return planComposition({ model: 'whole', steps, outputs }, parts).signature.features;
  };
  expect(joined(said({ nullable: true }), said({ nullable: true }))).toMatchObject([{ nullable: true }]);
  expect(joined(said({ range: { min: 0, max: 5 } }), said({ range: { min: -1, max: 4 } }))).toMatchObject([
    { nullable: false, range: { min: 0, max: 4 } },
  ]);
  const closed = (...values: number[]) => said({ values: { set: 'closed', values } });
  expect(joined(closed(1, 2, 3), closed(3, 2))).toMatchObject([{ values: { set: 'closed', values: [2, 3] } }]);
  expect(joined(said({}, 'float32'), said({}))).toMatchObject([
    { dtype: 'float64', range: { max: expect.closeTo(3.4e38, -37) } },
  ]);
  expect(() => joined(closed(1), closed(2))).toThrow('steps.s1.inputs.x: shares no allowed value with step s0');
  expect(() => joined(said({ unit: 'km' }), said({ unit: 'mi' }))).toThrow('is in mi here, and in km in step s0');
});
