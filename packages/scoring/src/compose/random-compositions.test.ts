/** Compositions of random small graphs, against their parts scored one by one and joined in JavaScript. */
import type { CompositionStep, Signature } from '@assay/contracts';
import { attribute, float32Tensor, float64Tensor, GraphBuilder } from '@assay/onnx';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { mulberry32, syntheticRecords } from '../synthetic-records.ts';
import { composing, type LoadedVersion, version } from '../testing/composing.ts';
import { feature, output } from '../testing/models.ts';

type Random = () => number;

const pick = <T>(random: Random, from: readonly T[]): T => from[Math.floor(random() * from.length)] as T; // never empty
const FEATURES = ['a', 'b', 'c', 'd'];

/** Two layers over some of the features, whose values all models name alike; with a probability of each class. */
function randomModel(random: Random): { onnx: Uint8Array; signature: Signature } {
  const type = pick(random, ['float32', 'float64'] as const);
  const tensor = type === 'float32' ? float32Tensor : float64Tensor;
  const opset = pick(random, [13, 17, 21]);
  const names = FEATURES.filter(() => random() < 0.6);
  const taken = names.length === 0 ? ['a'] : names;
  const graph = new GraphBuilder({ name: 'g', opsets: { '': opset }, irVersion: opset === 21 ? 10 : 8 });
  const shape = (name: string) => {
    const isFlat = random() < 0.3;
    const x = graph.input(name, type, isFlat ? ['rows'] : ['rows', 1]);
    if (!isFlat) return x;
    const axes = graph.constant({ elementType: 'int64', dims: [1], data: BigInt64Array.of(1n) });
    return graph.node('Unsqueeze', [x, axes]);
  };
  const x = graph.node('Concat', taken.map(shape), { attributes: { axis: attribute.int(1) } });
  const weights = (rows: number, columns: number) =>
    graph.constant(
      tensor(
        Array.from({ length: rows * columns }, () => random() - 0.5),
        [rows, columns],
      ),
    );
  const hidden = graph.node('Tanh', [graph.node('MatMul', [x, weights(taken.length, 3)])], { outputs: ['hidden'] });
  const logits = graph.node('MatMul', [hidden, weights(3, 2)]);
  graph.node('Softmax', [logits], { attributes: { axis: attribute.int(1) }, outputs: ['probabilities'] });
  graph.output('probabilities', type, ['rows', 2]);
  return {
    onnx: graph.build(),
    signature: {
      features: taken.map((name) => feature(name, type, { range: { min: -3, max: 3 } })),
      outputs: [{ ...output('probabilities', type, [2]), classes: [0, 1] }],
    },
  };
}

interface Wiring {
  readonly steps: Record<string, CompositionStep>;
  readonly weights: readonly number[];
}

/** Later models take some features from earlier ones; all of them go into a mean. */
function randomWiring(random: Random, models: readonly { readonly signature: Signature }[]): Wiring {
  const weights = models.map(() => 0.25 + random());
  const steps: Record<string, CompositionStep> = {};
  models.forEach(({ signature }, i) => {
    const inputs = Object.fromEntries(
      signature.features.flatMap(({ name }) =>
        i > 0 && random() < 0.4 ? [[name, `m${Math.floor(random() * i)}.probabilities[${pick(random, [0, 1])}]`]] : [],
      ),
    );
    steps[`m${i}`] = version(`m${i}`, inputs);
  });
  return { steps, weights };
}

/** Each model for itself, the records of the later ones made from the answers of the earlier ones. */
async function oneByOne(
  parts: readonly LoadedVersion[],
  { steps, weights }: Wiring,
  records: readonly Readonly<Record<string, unknown>>[],
): Promise<number[][]> {
  const answers: number[][][] = [];
  for (const [i, part] of parts.entries()) {
    const step = steps[`m${i}`];
    const inputs = step !== undefined && 'version' in step ? (step.inputs ?? {}) : {};
    const rows = await part.score(
      records.map((record, row) =>
        Object.fromEntries(
          part.signature.features.map(({ name }) => {
            const [, from, at] = /^m(\d)\.probabilities\[(\d)\]$/.exec(String(inputs[name])) ?? [];
            return [name, from === undefined ? record[name] : answers[Number(from)]?.[row]?.[Number(at)]];
          }),
        ),
      ),
    );
    answers.push(rows.map(({ probabilities }) => probabilities as number[]));
  }
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return records.map((_, row) =>
    [0, 1].map((k) =>
      weights.reduce((total, weight, i) => total + (answers[i]?.[row]?.[k] ?? Number.NaN) * (weight / sum), 0),
    ),
  );
}

test('a composition gives what its parts give one by one', async () => {
  await using made = await composing();
  const gives = async (seed: number): Promise<void> => {
    const random = mulberry32(seed);
    const models = Array.from({ length: 2 + Math.floor(random() * 3) }, () => randomModel(random));
    const wiring = randomWiring(random, models);
    const parts = await Promise.all(models.map((model, i) => made.part(`m${i}`, model)));
    const mean = { mean: models.map((_, i) => `m${i}.probabilities`), weights: [...wiring.weights] };
    const whole = await made.compose({ ...wiring.steps, mean }, { mean: 'mean' }, parts);
    const records = syntheticRecords(whole.signature, 40, seed);
    const alone = await Promise.all(parts.map(({ dir }) => made.load(dir)));
    const expected = await oneByOne(alone, wiring, records);
    for (const [row, { mean: given }] of (await whole.score(records)).entries()) {
      expect(given).toEqual(expected[row]?.map((value) => expect.closeTo(value, 6)));
    }
  };
  await fc.assert(fc.asyncProperty(fc.integer(), gives), { numRuns: 6 });
});
