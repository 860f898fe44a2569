import type { Signature } from '@assay/contracts';
import { attribute, float32Tensor, float64Tensor, GraphBuilder, stringTensor } from '@assay/onnx';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { syntheticRecords } from '../synthetic-records.ts';
import { apartModels, type Composing, composing, version } from '../testing/composing.ts';
import { feature, identityModel, linearDoubleModel, linearFloatModel, output } from '../testing/models.ts';

let made: Composing;
beforeAll(async () => {
  made = await composing();
});
afterAll(() => made[Symbol.asyncDispose]());

const int = attribute.int;

/** A vector of both probabilities and the label, from one number. */
function classifier(
  slope: number,
  type: 'float32' | 'float64' = 'float32',
): { onnx: Uint8Array; signature: Signature } {
  const graph = new GraphBuilder();
  const x = graph.input('x', 'float64', ['N', 1]);
  const p = graph.node('Sigmoid', [graph.node('Mul', [x, graph.constant(float64Tensor([slope]))])]);
  const other = graph.node('Sub', [graph.constant(float64Tensor([1])), p]);
  const both = graph.node('Concat', [other, p], { attributes: { axis: int(1) } });
  const cast = { attributes: { to: attribute.elementType(type) }, outputs: ['probabilities'] };
  graph.node('Cast', [both], cast);
  const top = graph.node('ArgMax', ['probabilities'], { attributes: { axis: int(1), keepdims: int(0) } });
  graph.node('Gather', [graph.constant(stringTensor(['on time', 'late'])), top], { outputs: ['label'] });
  graph.output('label', 'string', ['N']);
  graph.output('probabilities', type, ['N', 2]);
  return {
    onnx: graph.build(),
    signature: {
      features: [feature('x', 'float64', { unit: 'h', nullable: true })],
      outputs: [output('label', 'string'), { ...output('probabilities', type, [2]), classes: ['on time', 'late'] }],
    },
  };
}

const X = [-30, -2, -0.1, 0, 0.3, 5, 40].map((x) => ({ x }));
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

describe('a composition', () => {
  test('of two classifiers gives the weighted mean of what each gives alone, bit for bit', async () => {
    const parts = [await made.part('linear', linearFloatModel()), await made.part('other', linearFloatModel(9))];
    const whole = await made.compose(
      {
        linear: version('linear'),
        other: version('other'),
        blend: { mean: ['linear.probabilities', 'other.probabilities'], weights: [3, 1] },
      },
      { probabilities: 'blend' },
      parts,
    );
    const records = syntheticRecords(whole.signature, 50, 7);
    const [linear, other] = await Promise.all(parts.map(({ dir }) => made.load(dir)));
    const a = await linear?.score(records);
    const b = await other?.score(
      records.map((record) => Object.fromEntries(Object.entries(record).filter(([name]) => Number(name.slice(1)) < 9))),
    );
    const pair = (rows: typeof a, i: number) => rows?.[i]?.probabilities as [number, number];
    expect(await whole.score(records)).toEqual(
      records.map((_, i) => ({
        probabilities: pair(a, i).map((p, k) => Math.fround(p * 0.75 + (pair(b, i)[k] ?? 0) * 0.25)),
      })),
    );
    expect(whole.signature.outputs).toEqual([{ name: 'probabilities', dtype: 'float32', shape: [2], classes: [0, 1] }]);
  });

  test('names its parts, with their digests as parents of its lineage', async () => {
    const part = await made.part('one', linearDoubleModel());
    const whole = await made.compose({ one: version('one') }, { p: 'one' }, [part]);
    expect(whole.manifest.lineage.parents).toEqual([part.digest]);
    expect(whole.manifest.composition).toEqual({
      parts: [{ step: 'one', model: 'one', version: 1, versionId: 'ver_one', digest: part.digest }],
      steps: { one: { version: 'one@1' } },
      outputs: { p: 'one' },
      graphs: [['one']],
    });
    expect(whole.scorer.packed).toBe(true);
  });

  test('takes one version after another: what one gives is a feature of the next', async () => {
    const parts = [await made.part('first', linearDoubleModel(3)), await made.part('second', classifier(2))];
    const whole = await made.compose(
      { second: version('second', { x: 'first.probability' }), first: version('first') },
      { label: 'second.label', late: 'second.probabilities[1]', between: 'first' },
      parts,
    );
    expect(whole.signature.features.map(({ name }) => name)).toEqual(['f0', 'f1', 'f2']);
    const records = syntheticRecords(whole.signature, 20, 3);
    const [first, second] = await Promise.all(parts.map(({ dir }) => made.load(dir)));
    const between = (await first?.score(records))?.map((row) => row.probability) ?? [];
    const last = await second?.score(between.map((x) => ({ x })));
    expect(await whole.score(records)).toEqual(
      last?.map(({ label, probabilities }, i) => ({
        label,
        late: (probabilities as number[])[1],
        between: between[i],
      })),
    );
  });

  test('votes by weight, and lets of equals the one that was named first decide', async () => {
    const parts = await Promise.all([1, -1, 3].map((slope, i) => made.part(`m${i}`, classifier(slope))));
    const steps = { m0: version('m0'), m1: version('m1'), m2: version('m2') };
    const vote = async (labels: string[], weights?: number[]) => {
      const v = { vote: labels, ...(weights === undefined ? {} : { weights }) };
      const used = Object.fromEntries(
        Object.entries(steps).filter(([name]) => labels.some((label) => label.startsWith(name))),
      );
      const taken = parts.filter(({ step }) => Object.hasOwn(used, step));
      const whole = await made.compose({ ...used, v }, { label: 'v' }, taken);
      return (await whole.score([{ x: 2 }])).map(({ label }) => label);
    };
    expect(await vote(['m0.label', 'm1.label', 'm2.label'])).toEqual(['late']);
    expect(await vote(['m0.label', 'm1.label', 'm2.label'], [1, 5, 1])).toEqual(['on time']);
    expect(await vote(['m1.label', 'm0.label'])).toEqual(['on time']);
    expect(await vote(['m0.label', 'm1.label'])).toEqual(['late']);
  });

  test('calibrates a probability, alone or of both classes, and labels it by the names of the classes', async () => {
    const part = await made.part('m', classifier(1, 'float64'));
    const whole = await made.compose(
      {
        m: version('m'),
        platt: { platt: 'm.probabilities', slope: 2, intercept: -0.5 },
        isotonic: { isotonic: 'm.probabilities[1]', x: [0.2, 0.5, 0.8], y: [0.1, 0.5, 0.6] },
        late: { label: 'platt' },
      },
      { both: 'platt', stepped: 'isotonic', late: 'late' },
      [part],
    );
    const line = (p: number) => {
      if (p <= 0.2) return 0.1;
      if (p >= 0.8) return 0.6;
      return p <= 0.5 ? 0.1 + ((p - 0.2) / 0.3) * 0.4 : 0.5 + ((p - 0.5) / 0.3) * 0.1;
    };
    for (const [i, row] of (await whole.score(X)).entries()) {
      const x = X[i]?.x ?? 0;
      const p = sigmoid(2 * x - 0.5);
      const [none, late] = row.both as [number, number];
      expect(late).toBeCloseTo(p, 9);
      expect(none + late).toBeCloseTo(1, 12);
      expect(row.stepped).toBeCloseTo(line(sigmoid(x)), 9);
      expect(row.late).toBe(p > 0.5 ? 'late' : 'on time');
    }
    expect(whole.signature.outputs.map(({ classes }) => classes)).toEqual([['on time', 'late'], undefined, undefined]);
  });

  test('keeps 0 and 1 where a probability is certain', async () => {
    const graph = new GraphBuilder();
    graph.input('p', 'float32', ['N']);
    graph.node('Identity', ['p'], { outputs: ['same'] });
    graph.output('same', 'float32', ['N']);
    const signature = {
      features: [feature('p', 'float32', { range: { min: 0, max: 1 } })],
      outputs: [output('same', 'float32')],
    };
    const part = await made.part('m', { onnx: graph.build(), signature });
    const whole = await made.compose(
      { m: version('m'), c: { platt: 'm', slope: 0.7, intercept: 3 } },
      { calibrated: 'c' },
      [part],
    );
    expect(await whole.score([{ p: 0 }, { p: 1 }])).toEqual([{ calibrated: 0 }, { calibrated: 1 }]);
  });

  test('feeds a model that takes one vector with what several give, side by side', async () => {
    const graph = new GraphBuilder();
    graph.input('scores', 'float32', ['N', 3]);
    graph.node('MatMul', ['scores', graph.constant(float32Tensor([1, 10, 100], [3, 1]))], { outputs: ['sum'] });
    graph.output('sum', 'float32', ['N', 1]);
    const meta = {
      onnx: graph.build(),
      signature: { features: [feature('scores', 'float32', { shape: [3] })], outputs: [output('sum', 'float32')] },
    };
    const parts = [
      await made.part('a', classifier(1)),
      await made.part('b', classifier(-2, 'float64')),
      await made.part('meta', meta),
    ];
    const whole = await made.compose(
      {
        a: version('a'),
        b: version('b'),
        all: { concat: ['a.probabilities', 'b.probabilities[0]'] },
        meta: version('meta', { scores: 'all' }),
      },
      { sum: 'meta' },
      parts,
    );
    for (const [i, { sum }] of (await whole.score(X)).entries()) {
      const x = X[i]?.x ?? 0;
      expect(sum).toBeCloseTo(1 - sigmoid(x) + 10 * sigmoid(x) + 100 * (1 - sigmoid(-2 * x)), 4);
    }
  });

  test('tells two features of one name apart where they are given other names', async () => {
    const parts = [await made.part('a', classifier(1)), await made.part('b', classifier(1))];
    const whole = await made.compose(
      { a: version('a'), b: version('b', { x: { feature: 'y' } }) },
      { a: 'a.label', b: 'b.label' },
      parts,
    );
    expect(await whole.score([{ x: 1, y: -1 }])).toEqual([{ a: 'late', b: 'on time' }]);
  });

  test('passes values of every type through, and from one version to the next', async () => {
    const model = identityModel();
    const parts = [await made.part('a', model), await made.part('b', model)];
    const inputs = Object.fromEntries(model.signature.features.map(({ name }) => [name, `a.${name}_out`]));
    const outputs = Object.fromEntries(model.signature.features.map(({ name }) => [`${name}_whole`, `b.${name}_out`]));
    const whole = await made.compose({ a: version('a'), b: version('b', inputs) }, outputs, parts);
    const record = { real: 0.1, single: 0.5, count: 2n ** 60n, word: 'ä', flag: true, at: '2026-01-31T12:00:00Z' };
    const [row] = await whole.score([record]);
    expect(row).toMatchObject({ real_whole: 0.1, single_whole: 0.5, word_whole: 'ä', flag_whole: true });
    expect(JSON.stringify(row, (_, value) => (typeof value === 'bigint' ? String(value) : value))).toContain(
      String(2n ** 60n),
    );
  });

  test('of parts that cannot be one graph runs several, one after another, and gives what they give', async () => {
    const { old, young, steps, outputs } = apartModels();
    const parts = [await made.part('old', old), await made.part('young', young)];
    const whole = await made.compose(steps, outputs, parts);
    expect(whole.manifest.composition).toMatchObject({
      graphs: [['old'], ['young', 'blend']],
      apart: 'Softmax of opset 11 means another thing in opset 21, which a part needs ("old")',
    });
    const records = syntheticRecords(whole.signature, 70, 5);
    const [first, second] = await Promise.all(parts.map(({ dir }) => made.load(dir)));
    const a = (await first?.score(records)) ?? [];
    const b = (await second?.score(a.map(({ shares }) => ({ shares })))) ?? [];
    const tanh = b.map((row) => row.tanh as number[]);
    expect(await whole.score(records)).toEqual(
      a.map((row, i) => {
        const shares = row.shares as number[];
        return {
          first: shares[0],
          blend: shares.map((share, k) => Math.fround(0.5 * share + 0.5 * (tanh[i]?.[k] ?? 0))),
        };
      }),
    );
    expect(whole.scorer).toMatchObject({ call: 'native', batchInvariant: true, packed: false });
  });

  test('of a version that is several graphs is refused: its parts are what to compose', async () => {
    const { old, young, steps, outputs } = apartModels();
    const target = await made.composed(steps, outputs, [await made.part('old', old), await made.part('young', young)]);
    const again = made.compose({ whole: version('whole') }, { p: 'whole.blend' }, [{ ...target, step: 'whole' }]);
    await expect(again).rejects.toThrow('step whole is composed of several graphs; name its parts instead');
  });

  test('has the records of its parts as golden records, as far as all parts take them', async () => {
    const { onnx, signature } = classifier(1);
    const bounded = { ...signature, features: [feature('x', 'float64', { range: { max: 1 } })] };
    const parts = [
      await made.part('a', { onnx, signature, examples: [{ x: 0.5 }, { x: 7 }] }),
      await made.part('b', { onnx, signature: bounded, examples: [{ x: -4 }] }),
    ];
    const whole = await made.compose({ a: version('a'), b: version('b') }, { a: 'a.label', b: 'b.label' }, parts);
    expect(whole.manifest.golden.records).toEqual([{ x: 0.5 }, { x: -4 }]);
    expect(whole.signature.features).toEqual([
      { name: 'x', dtype: 'float64', shape: [], nullable: false, range: { max: 1 }, unit: 'h' },
    ]);
  });
});
