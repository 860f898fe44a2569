import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Certificates, makeCertificates } from '@assay/http/testing/certificates';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeLane } from './conformance.ts';
import { connectTo, type EchoApp, post, splitAnswers, startEcho } from './lane-under-test.ts';

let dir: string;
let certificates: Certificates;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'assay-lane-'));
  certificates = await makeCertificates(dir);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

describeLane((options) => startEcho({ ...options, certificates }));

/** What came back of so many requests in one write, each of two records of TLS; request `at` is none of the lane's. */
async function digitsOf(app: EchoApp, { count, sizeBytes }: typeof FEW, at: number, headers: readonly string[]) {
  using client = await connectTo(app);
  const bodies = Array.from({ length: count }, (_, i) => String(i).repeat(sizeBytes));
  client.write(
    bodies.map((body, i) => post(i === at ? '/echo/%61' : '/echo/a', body, i === at ? headers : [])).join(''),
  );
  const answers = splitAnswers(await client.answers(count));
  return answers.map((answer) => {
    const { text } = JSON.parse(answer.split('\r\n\r\n')[1] ?? '');
    return `${text[0]} × ${new Set(text).size === 1 ? text.length : 'mixed'}`;
  });
}

const expected = ({ count, sizeBytes }: typeof FEW) => Array.from({ length: count }, (_, i) => `${i} × ${sizeBytes}`);

/** No more than 64 KiB: Node pauses its parser for more, and then now and then fails on such records, without a lane too. */
const FEW = { count: 4, sizeBytes: 19_000 };

test.each([0, 1, 3])('request %i of records that arrived together is handed over, and all behind it', async (at) => {
  await using app = await startEcho({ lane: true, certificates });
  expect(await digitsOf(app, FEW, at, ['TE: trailers'])).toEqual(expected(FEW));
  expect(app.handovers).toHaveLength(1);
});

test.each([0, 1, 3])('request %i of records that arrived together is passed on', async (at) => {
  const many = { count: 6, sizeBytes: 30_000 };
  await using app = await startEcho({ lane: true, certificates });
  expect(await digitsOf(app, many, at, [])).toEqual(expected(many));
  expect(app.handovers).toEqual([]);
  expect(app.passedOn).toHaveLength(1);
});
