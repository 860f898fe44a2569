import type { Collection } from '@assay/contracts';
import { afterEach, describe, expect, test } from 'vitest';
import { assay, fakeServices } from './fake-services.ts';

const report: Collection = {
  ...{ deleted: false, startedAt: 0, retentionMs: 1, graceMs: 1, rowCount: 1 },
  rows: [{ kind: 'version', id: 'ver_1', name: 'delay 3', deletedAt: 0 }],
  blobs: { count: 21, sizeBytes: 4200 },
  blobItems: Array.from({ length: 21 }, (_, i) => ({ key: `sha256/00/${i}`, sizeBytes: 200, modifiedAt: 0 })),
  kept: { named: { count: 5, sizeBytes: 50 }, young: { count: 0, sizeBytes: 0 } },
};

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function run(answer: Collection, ...args: string[]) {
  const made = await fakeServices({ 'POST /v1/collect': [200, answer] });
  cleanups.push(() => made.close());
  return { ...(await assay(['collect', ...args, '--registry', made.url])), requests: made.requests };
}

describe('assay collect', () => {
  test('lists what would go, and asks for nothing else', async () => {
    const { code, out, err, requests } = await run(report);
    expect([code, requests[0]?.body]).toEqual([0, { delete: false }]);
    expect(out).toContain('version  delay 3  1970-01-01 00:00:00  ver_1');
    expect(out).toContain('200    1970-01-01 00:00:00  sha256/00/19\nand 1 more\n');
    expect(err).toContain('1 deleted resources and 21 blobs (4200 bytes)');
    expect(err).toContain('Nothing was removed; assay collect --delete removes them');
  });

  test('is part of the trace that its environment names', async () => {
    const { url, requests, close } = await fakeServices({ 'POST /v1/collect': [200, report] });
    cleanups.push(close);
    const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
    for (const env of [{ TRACEPARENT: traceparent, TRACESTATE: 'a=1' }, { TRACEPARENT: 'malformed' }]) {
      expect((await assay(['collect', '--registry', url], { env })).code).toBe(0);
    }
    expect(requests.map(({ headers }) => [headers.traceparent?.slice(0, 36), headers.tracestate])).toEqual([
      [traceparent.slice(0, 36), 'a=1'],
      [undefined, undefined],
    ]);
    expect(requests[0]?.headers.traceparent).not.toBe(traceparent);
  });

  test('removes it when it is told to', async () => {
    const { err, requests } = await run({ ...report, deleted: true }, '--delete');
    expect(requests[0]?.body).toEqual({ delete: true });
    expect(err).toMatch(/^Removed 1 deleted resources and 21 blobs/);
  });
});
