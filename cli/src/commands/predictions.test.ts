import { afterEach, describe, expect, test } from 'vitest';
import { assay, type FakeServices, fakeServices, notFound } from '../fake-services.ts';

const PREDICTION = {
  id: 'prd_1-0',
  at: 1_769_860_800_000,
  door: 'rest',
  endpointId: 'ept_1',
  endpointName: 'flights',
  modelName: 'flights',
  version: 3,
  versionId: 'ver_3',
  digest: 'a'.repeat(64),
  routingRevision: 9,
  executionClass: 'class-1',
  record: { distance: 802, origin: 'ORD' },
  outputs: { probability: 0.25, odd: 'NaN' },
};
const REPLAY = {
  id: 'prd_1-0',
  versionId: 'ver_3',
  digest: 'a'.repeat(64),
  same: true,
  sameExecutionClass: true,
  executionClass: { logged: 'class-1', replayed: 'class-1' },
  batchInvariant: true,
  differences: [],
  logged: { probability: 0.25 },
  replayed: { probability: 0.25 },
};

let services: FakeServices | undefined;
afterEach(async () => services?.close());

async function run(replay: unknown, ...args: string[]) {
  services = await fakeServices({
    'GET /v1/predictions/prd_1-0': [200, PREDICTION],
    'GET /v1/predictions/prd_2-0': [404, notFound('prediction "prd_2-0" in the log')],
    'GET /v1/predictions': [200, { items: [PREDICTION] }],
    'POST /v1/predictions/prd_1-0/replay': [200, replay],
  });
  return assay([...args, '--monitoring', services.url]);
}

describe('assay predictions', () => {
  test('get shows what was asked, answered, and by which version', async () => {
    const { code, out } = await run(REPLAY, 'predictions', 'get', 'prd_1-0');
    expect(code).toBe(0);
    for (const part of [
      '2026-01-31T12:00:00.000Z',
      'flights 3 (ver_3)',
      'revision 9',
      '"origin":"ORD"',
      '"odd":"NaN"',
    ]) {
      expect(out).toContain(part);
    }
    const asJson = await run(REPLAY, 'predictions', 'get', 'prd_1-0', '--json');
    expect(JSON.parse(asJson.out)).toEqual(PREDICTION);
  });

  test('get of one that is not there says so and ends with the code of a refusal', async () => {
    const { code, err } = await run(REPLAY, 'predictions', 'get', 'prd_2-0');
    expect([code, err]).toEqual([4, expect.stringContaining('there is no prediction "prd_2-0"')]);
  });

  test('list shows one a line', async () => {
    const { code, out } = await run(REPLAY, 'predictions', 'list', '--endpoint', 'flights', '--limit', '5');
    expect(code).toBe(0);
    expect(out.trimEnd().split('\n')).toHaveLength(2);
    expect(out).toMatch(/flights +flights +3 +rest +prd_1-0 +\{"probability":0.25/);
  });
});

describe('assay replay', () => {
  test('ends with 0 where the bits are the same', async () => {
    const { code, out, err } = await run(REPLAY, 'replay', 'prd_1-0');
    expect([code, out, err]).toEqual([0, 'The same bits: {"probability":0.25}\n', '']);
  });

  test('ends with 4 where they are not, and shows both', async () => {
    const different = { ...REPLAY, same: false, differences: ['probability'], replayed: { probability: 0.26 } };
    const { code, err } = await run(different, 'replay', 'prd_1-0');
    expect(code).toBe(4);
    expect(err).toMatch(/other bits in probability[\s\S]*0\.25[\s\S]*0\.26/);
    const asJson = await run(different, 'replay', 'prd_1-0', '--json');
    expect([asJson.code, JSON.parse(asJson.out)]).toEqual([4, different]);
  });

  test('says when the execution class is another', async () => {
    const executionClass = { logged: 'class-1', replayed: 'class-2' };
    const { code, err } = await run({ ...REPLAY, sameExecutionClass: false, executionClass }, 'replay', 'prd_1-0');
    expect([code, err]).toEqual([0, expect.stringContaining('class-1 then, class-2 now')]);
  });
});
