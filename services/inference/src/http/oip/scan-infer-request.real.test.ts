import type { Signature } from '@assay/contracts';
import { openPackage } from '@assay/model-package';
import { GraphBuilder } from '@assay/onnx';
import { createScorer, type InputBatch, packageFromOnnx, type Scorer } from '@assay/scoring';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { temporaryFolder } from '../../inference-under-test.ts';
import { readJson } from '../read-json.ts';
import { readInferRequest } from './read-infer-request.ts';
import { scanInferRequest } from './scan-infer-request.ts';

const SIGNATURE: Signature = {
  features: [
    { name: 'v', dtype: 'float32', shape: [3], nullable: false },
    { name: 'd', dtype: 'float64', shape: [], nullable: false, range: { min: -100, max: 1e6 } },
    { name: 's', dtype: 'float32', shape: [], nullable: true },
  ],
  outputs: ['v_out', 'd_out', 's_out'].map((name) => ({
    name,
    dtype: name === 'd_out' ? 'float64' : 'float32',
    shape: name === 'v_out' ? [3] : [],
  })),
};

const resources = new AsyncDisposableStack();
let scorer: Scorer;

beforeAll(async () => {
  const { path: dir } = resources.use(await temporaryFolder());
  const graph = new GraphBuilder();
  for (const { name, dtype, shape } of SIGNATURE.features) {
    const type = dtype === 'float64' ? 'float64' : 'float32';
    graph.node('Identity', [graph.input(name, type, ['N', shape[0] ?? 1])], { outputs: [`${name}_out`] });
    graph.output(`${name}_out`, type, ['N', shape[0] ?? 1]);
  }
  await packageFromOnnx(graph.build(), {
    dir: `${dir}/model`,
    signature: SIGNATURE,
    examples: [{ v: [1, 2, 3], d: 4, s: 5 }],
  });
  scorer = await createScorer(await openPackage(`${dir}/model`));
  resources.defer(() => scorer.close());
});
afterAll(() => resources.disposeAsync());

const MAX_ROWS = 50;

/** The rows of a body, read carefully. */
function readCarefully(body: Buffer, batch: InputBatch): { id: string | undefined; rows: number } {
  const { id, inputs } = readInferRequest(readJson(body, SIGNATURE), SIGNATURE, MAX_ROWS);
  return { id, rows: batch.appendTensors(inputs) };
}

function outputsOf(batch: InputBatch): unknown[] {
  const outputs = scorer.run(batch);
  if (outputs instanceof Promise) throw new Error('the native call answers at once');
  return Array.from({ length: batch.rows }, (_, row) => outputs.record(row));
}

const number = fc.oneof(
  fc.double({ min: -100, max: 1e6, noNaN: true }),
  fc.integer({ min: -100, max: 1e6 }),
  fc.constant(-0),
);
const inputs = fc.integer({ min: 1, max: 5 }).chain((rows) => {
  const list = (count: number) => fc.array(number, { minLength: count, maxLength: count });
  return fc
    .shuffledSubarray(
      [
        list(rows * 3).map((data) => ({ name: 'v', shape: [rows, 3], datatype: 'FP32', data })),
        list(rows).map((data) => ({ name: 'd', datatype: 'FP64', shape: [rows], data })),
        list(rows).map((data) => ({ shape: [rows, 1], name: 's', datatype: 'FP32', data })),
      ],
      { minLength: 3 },
    )
    .chain((all) => fc.tuple(...all));
});
const usual = fc.record({ id: fc.option(fc.stringMatching(/^[ -!#-[\]-~]{0,20}$/), { nil: undefined }), inputs });

describe('a body in its usual form', () => {
  test('is scanned into the same rows, with the same bits, as it is read carefully', () => {
    fc.assert(
      fc.property(usual, fc.constantFrom(undefined, 1, '\t'), (request, indent) => {
        const body = Buffer.from(JSON.stringify(request, undefined, indent));
        const [scanned, read] = [scorer.newBatch(), scorer.newBatch()];
        const found = scanInferRequest(body, SIGNATURE, scanned, MAX_ROWS);
        expect(found).toEqual(readCarefully(body, read));
        expect(outputsOf(scanned)).toEqual(outputsOf(read));
      }),
      { numRuns: 300 },
    );
  });

  type Edit = readonly [at: number, what: string, drops: number];
  const edits = fc.array(
    fc.tuple(fc.nat(), fc.constantFrom(...'01.,-[]{}":x\\ ', 'null', '"id":"1",', '"data":[1],'), fc.nat(2)),
    { minLength: 1, maxLength: 3 },
  );
  const edited = (text: string, changes: readonly Edit[]): Buffer =>
    Buffer.from(
      changes.reduce((changed, [at, what, drops]) => {
        const i = at % (changed.length + 1);
        return changed.slice(0, i) + what + changed.slice(i + drops);
      }, text),
    );

  test('with anything changed in it is taken only if it is so when read carefully', () => {
    let taken = 0;
    fc.assert(
      fc.property(usual, edits, (request, changes) => {
        const body = edited(JSON.stringify(request), changes);
        const [scanned, read] = [scorer.newBatch(), scorer.newBatch()];
        const found = scanInferRequest(body, SIGNATURE, scanned, MAX_ROWS);
        if (found === undefined) {
          expect(scanned.rows).toBe(0);
          return;
        }
        taken++;
        expect(found).toEqual(readCarefully(body, read));
        expect(outputsOf(scanned)).toEqual(outputsOf(read));
      }),
      { numRuns: 5000 },
    );
    expect(taken).toBeGreaterThan(100);
  });

  test('that is written as one before it has its own numbers, whatever else is changed in it', () => {
    const requests = fc.record({ inputs });
    const others = fc.array(number, { minLength: 15, maxLength: 15 });
    let [whole, taken] = [0, 0];
    fc.assert(
      fc.property(requests, others, fc.oneof(fc.constant([]), edits), (request, numbers, changes) => {
        const signature = structuredClone(SIGNATURE); // one that no request was scanned for
        const first = Buffer.from(JSON.stringify(request));
        expect(scanInferRequest(first, signature, scorer.newBatch(), MAX_ROWS)?.rows).toBeGreaterThan(0);
        const next = request.inputs.map((input) => ({ ...input, data: input.data.map((_, i) => numbers[i]) }));
        const body = edited(JSON.stringify({ inputs: next }), changes);
        const [scanned, read] = [scorer.newBatch(), scorer.newBatch()];
        const found = scanInferRequest(body, signature, scanned, MAX_ROWS);
        if (found === undefined) {
          expect(scanned.rows).toBe(0);
          return;
        }
        if (changes.length === 0) whole++;
        else taken++;
        expect(found).toEqual(readCarefully(body, read));
        expect(outputsOf(scanned)).toEqual(outputsOf(read));
      }),
      { numRuns: 3000 },
    );
    expect(whole).toBeGreaterThan(1000);
    expect(taken).toBeGreaterThan(10);
  });

  const whole = [
    { name: 'v', shape: [1, 3], datatype: 'FP32', data: [1, 2, 3] },
    { name: 'd', shape: [1], datatype: 'FP64', data: [4] },
    { name: 's', shape: [1], datatype: 'FP32', data: [5] },
  ];
  const replaced = (i: number, fields: object) =>
    whole.map((input, at) => (at === i ? { ...input, ...fields } : input));
  test.each([
    ['a tensor missing', { inputs: whole.slice(1) }],
    ['a nullable tensor missing', { inputs: whole.slice(0, 2) }],
    ['a tensor twice', { inputs: [...whole, whole[0]] }],
    ['null', { inputs: replaced(2, { data: [null] }) }],
    ['nested data', { inputs: replaced(0, { data: [[1, 2, 3]] }) }],
    ['another datatype', { inputs: replaced(0, { datatype: 'INT8' }) }],
    ['another shape', { inputs: replaced(0, { shape: [3, 1] }) }],
    ['unlike rows', { inputs: replaced(1, { shape: [2], data: [1, 2] }) }],
    ['a value out of range', { inputs: replaced(1, { data: [-101] }) }],
    ['parameters', { inputs: replaced(0, { parameters: {} }) }],
    ['outputs', { inputs: whole, outputs: [{ name: 'd_out' }] }],
    ['an escape', { id: '\n', inputs: whole }],
    ['more rows than it can have', { inputs: replaced(1, { shape: [MAX_ROWS + 1] }) }],
    ['no inputs', { inputs: [] }],
  ])('with %s is left to the careful way, and nothing of it stays', (_what, request) => {
    const batch = scorer.newBatch();
    batch.appendRecords([{ v: [7, 8, 9], d: 1, s: 2 }]);
    expect(scanInferRequest(Buffer.from(JSON.stringify(request)), SIGNATURE, batch, MAX_ROWS)).toBeUndefined();
    expect(outputsOf(batch)).toEqual([{ v_out: [7, 8, 9], d_out: 1, s_out: 2 }]);
  });

  test('that claims many rows makes no room for them', () => {
    const batch = scorer.newBatch(1);
    const body = Buffer.from(JSON.stringify({ inputs: replaced(0, { shape: [1_000_000, 3] }) }));
    expect(scanInferRequest(body, SIGNATURE, batch, 1_000_000)).toBeUndefined();
    expect(batch.capacityRows).toBe(1);
  });
});
