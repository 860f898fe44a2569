import type { Signature } from '@assay/contracts';
import { openPackage } from '@assay/model-package';
import { GraphBuilder } from '@assay/onnx';
import { createScorer, type InputBatch, packageFromOnnx, type Scorer } from '@assay/scoring';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { temporaryFolder } from '../inference-under-test.ts';
import { readJson } from './read-json.ts';
import { hasRecordsOnly, scanScoreRequest } from './scan-score-request.ts';
import { readScoreRequest } from './score-body.ts';

const SIGNATURE: Signature = {
  features: [
    { name: 'd', dtype: 'float64', shape: [], nullable: false, range: { min: -100, max: 1e6 } },
    { name: 'n', dtype: 'int64', shape: [], nullable: false },
    { name: 's', dtype: 'string', shape: [], nullable: true },
  ],
  outputs: [
    { name: 'd_out', dtype: 'float64', shape: [] },
    { name: 'n_out', dtype: 'int64', shape: [] },
    { name: 's_out', dtype: 'string', shape: [] },
  ],
};
const LIMITS = { maxRecords: 20, maxExplainedRecords: 5 };

const resources = new AsyncDisposableStack();
let scorer: Scorer;

beforeAll(async () => {
  const { path: dir } = resources.use(await temporaryFolder());
  const graph = new GraphBuilder();
  for (const { name, dtype } of SIGNATURE.features) {
    const type = dtype === 'float64' || dtype === 'int64' ? dtype : 'string';
    graph.node('Identity', [graph.input(name, type, ['N', 1])], { outputs: [`${name}_out`] });
    graph.output(`${name}_out`, type, ['N', 1]);
  }
  await packageFromOnnx(graph.build(), {
    dir: `${dir}/model`,
    signature: SIGNATURE,
    examples: [{ d: 4, n: 5, s: 'six' }],
  });
  scorer = await createScorer(await openPackage(`${dir}/model`));
  resources.defer(() => scorer.close());
});
afterAll(() => resources.disposeAsync());

function outputsOf(batch: InputBatch): unknown[] {
  const outputs = scorer.run(batch);
  if (outputs instanceof Promise) throw new Error('the native call answers at once');
  return Array.from({ length: batch.rows }, (_, row) => outputs.record(row));
}

const record = fc.record({
  d: fc.double({ min: -100, max: 1e6, noNaN: true }),
  n: fc.integer(),
  s: fc.option(fc.string({ unit: 'grapheme', maxLength: 5 }).filter((text) => !/["\\\p{Cc}]/u.test(text))),
});

describe('a body in its usual form', () => {
  test('gives the rows that the careful way gives, behind those that are there', () => {
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 20 }), fc.nat(2), (records, space) => {
        const body = Buffer.from(JSON.stringify({ records }, null, space));
        expect(hasRecordsOnly(body)).toBe(true);
        const [fast, careful] = [scorer.newBatch(), scorer.newBatch()];
        for (const batch of [fast, careful]) batch.appendRecords([{ d: 1, n: 2, s: 'before' }]);
        expect(scanScoreRequest(body, fast, LIMITS.maxRecords)).toBe(records.length);
        careful.appendRecords(readScoreRequest(readJson(body, SIGNATURE), LIMITS).records);
        expect(outputsOf(fast)).toEqual(outputsOf(careful));
      }),
      { numRuns: 300 },
    );
  });
});

describe('a body that is left to the careful way', () => {
  const one = '{"d":1,"n":2,"s":"three"}';
  test.each([
    ['no record', '{"records":[]}'],
    ['more than there may be', `{"records":[${Array(21).fill(one).join(',')}]}`],
    ['a wrong record behind right ones', `{"records":[${one},${one},{"d":1}]}`],
    ['records twice', `{"records":[${one}],"records":[${one}]}`],
    ['another key between', `{"records":[${one}],"explain":true,"records":[${one}]}`],
    ['no comma', `{"records":[${one}${one}]}`],
    ['a comma too many', `{"records":[${one},]}`],
    ['no bracket', `{"records":${one}}`],
    ['more behind it', `{"records":[${one}]}]}`],
    ['no end', `{"records":[${one}`],
  ])('leaves nothing in the batch: %s', (_what, text) => {
    const batch = scorer.newBatch();
    batch.appendRecords([{ d: 1, n: 2, s: 'before' }]);
    expect(scanScoreRequest(Buffer.from(text), batch, LIMITS.maxRecords)).toBeUndefined();
    expect(batch.rows).toBe(1);
  });

  test.each([
    ['explanations asked for', `{"records":[${one}],"explain":true}`],
    ['the same, before', `{"explain":true,"records":[${one}]}`],
    ['a name with an escape', `{"rec\\u006frds":[${one}]}`],
    ['no object', `[${one}]`],
    ['nothing', ''],
  ])('is known from both ends: %s', (_what, text) => {
    expect(hasRecordsOnly(Buffer.from(text))).toBe(false);
  });
});
