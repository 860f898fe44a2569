import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Certificates, makeCertificates } from '@assay/http/testing/certificates';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeLane } from './conformance.ts';
import { connectTo, post, splitAnswers, startEcho } from './lane-under-test.ts';

let dir: string;
let certificates: Certificates;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'assay-lane-'));
  certificates = await makeCertificates(dir);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

describeLane((options) => startEcho({ ...options, certificates }));

test.each([0, 1, 3])('request %i of records that arrived together is handed over, and all behind it', async (at) => {
  await using app = await startEcho({ lane: true, certificates });
  using client = await connectTo(app);
  const bodies = Array.from({ length: 6 }, (_, i) => String(i).repeat(30_000)); // two records of TLS each
  client.write(bodies.map((body, i) => post(i === at ? '/echo/%61' : '/echo/a', body)).join(''));
  const answers = splitAnswers(await client.answers(bodies.length));
  const digits = answers.map((answer) => {
    const { text } = JSON.parse(answer.split('\r\n\r\n')[1] ?? '');
    return `${text[0]} × ${new Set(text).size === 1 ? text.length : 'mixed'}`;
  });
  expect(digits).toEqual(bodies.map((_, i) => `${i} × 30000`));
  expect(app.handovers).toHaveLength(1);
});
