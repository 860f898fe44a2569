import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { serveEveryWay } from './every-way-under-test.ts';
import { type InferenceUnderTest, temporaryFolder } from './inference-under-test.ts';
import { FLIGHTS, flightRecords, linearModel, treeModel } from './models-under-test.ts';

const resources = new AsyncDisposableStack();
let inference: InferenceUnderTest;

beforeAll(async () => {
  const { path: dir } = resources.use(await temporaryFolder());
  const models = [
    { name: 'trees', path: (await treeModel(dir)).dir },
    { name: 'linear', path: (await linearModel(dir)).dir },
  ];
  inference = resources.use(await serveEveryWay(dir, models, { maxExplainedRecords: 20 }));
});
afterAll(() => resources.disposeAsync());

interface Explained {
  readonly outputs: { readonly probabilities: readonly number[] };
  readonly explanation: {
    readonly baseValue: number;
    readonly rawScore: number;
    readonly contributions: Readonly<Record<string, number>>;
  };
}

describe('explanations', () => {
  test('say of each record what each feature added, beside the same outputs as without', async () => {
    const records = flightRecords(20);
    const plain = await inference.post('/v1/endpoints/trees/score', { records });
    const { status, body } = await inference.post('/v1/endpoints/trees/score', { records, explain: true });
    expect(status).toBe(200);
    const predictions: Explained[] = body.predictions;
    expect(predictions.map(({ outputs }) => outputs)).toEqual(
      plain.body.predictions.map(({ outputs }: Explained) => outputs),
    );
    for (const { outputs, explanation } of predictions) {
      const { baseValue, rawScore, contributions } = explanation;
      expect(Object.keys(contributions)).toEqual(FLIGHTS.features.map(({ name }) => name));
      const sum = Object.values(contributions).reduce((total, value) => total + value, baseValue);
      expect(sum).toBeCloseTo(rawScore, 9);
      expect(1 / (1 + Math.exp(-rawScore))).toBeCloseTo(outputs.probabilities[1] ?? Number.NaN, 6);
    }
    expect(new Set(predictions.map(({ explanation }) => explanation.baseValue)).size).toBe(1);
    expect(new Set(predictions.map(({ explanation }) => explanation.contributions.hour)).size).toBeGreaterThan(5);
  });

  test('are left out where nobody asks for them', async () => {
    const records = flightRecords(1);
    for (const body of [{ records }, { records, explain: false }]) {
      const answer = await inference.post('/v1/endpoints/trees/score', body);
      expect(Object.keys(answer.body.predictions[0])).toEqual(['id', 'outputs']);
    }
  });

  test('of many requests at once are each of its own records', async () => {
    const records = flightRecords(20);
    const one = await inference.post('/v1/endpoints/trees/score', { records, explain: true });
    const answers = await Promise.all(
      records.map((record) => inference.post('/v1/endpoints/trees/score', { records: [record], explain: true })),
    );
    expect(answers.map(({ body }) => body.predictions[0].explanation)).toEqual(
      one.body.predictions.map(({ explanation }: Explained) => explanation),
    );
  });

  test.each([
    ['of a model without trees', 'linear', { records: flightRecords(1), explain: true }, 412, /no ensemble of trees/],
    ['of more records than may be', 'trees', { records: flightRecords(21), explain: true }, 413, /21 .* 20/],
    ['asked for in another way', 'trees', { records: flightRecords(1), explain: 1 }, 400, /explain: must be true/],
    ['asked for by a typo', 'trees', { records: flightRecords(1), explian: true }, 400, /did you mean "explain"/],
    ['of a bad record', 'trees', { records: [{ hour: 'x' }], explain: true }, 400, /records\[0\]/],
  ])('%s are refused', async (_what, endpoint, body, status, message) => {
    const answer = await inference.post(`/v1/endpoints/${endpoint}/score`, body);
    expect([answer.status, answer.body.error.message]).toEqual([status, expect.stringMatching(message)]);
  });
});
