import { expect, test } from 'vitest';
import {
  type CheckpointHeader,
  type FinishedShard,
  readCheckpoint,
  requireSame,
  shardFileNames,
} from './checkpoint.ts';

const SHA = 'a'.repeat(64);
const header: CheckpointHeader = {
  formatVersion: 1,
  jobId: 'job_1',
  version: { modelName: 'm', version: 1, versionId: 'ver_1', digest: SHA },
  input: { format: 'csv', files: [{ path: '/rows.csv', sha256: SHA, sizeBytes: 10 }] },
  output: { format: 'csv', columns: [] },
  shardRows: 1000,
  specSha256: SHA,
};
const position = { file: 0, offsetBytes: 5, line: 2, rows: 0 };
const shard = (number: number): FinishedShard => ({
  shard: number,
  from: position,
  next: position,
  rowsIn: 2,
  rowsOut: 1,
  rowsFailed: 1,
  results: { name: shardFileNames(number, 'csv').results, sizeBytes: 1, sha256: SHA },
  errors: null,
});
const text = [header, shard(0), shard(1)].map((line) => `${JSON.stringify(line)}\n`).join('');

test('what was written is read, without the line that a kill tore', () => {
  expect(readCheckpoint(text, 'c')).toEqual({ header, shards: [shard(0), shard(1)], lengthBytes: text.length });
  for (let length = 0; length < text.length; length++) {
    const torn = readCheckpoint(text.slice(0, length), 'c');
    const lines = text.slice(0, length).split('\n').length - 1;
    expect(torn?.shards.length).toBe(lines === 0 ? undefined : lines - 1);
  }
});

test.each([
  ['no JSON', 'hello\n'],
  ['another version', `${JSON.stringify({ ...header, formatVersion: 2 })}\n`],
  ['a shard that is left out', `${JSON.stringify(header)}\n${JSON.stringify(shard(1))}\n`],
])('%s is refused', (_, wrong) => {
  expect(() => readCheckpoint(wrong, '/out/checkpoint.ndjson')).toThrow(/checkpoint\.ndjson:\d is no checkpoint/);
});

test.each([
  ['another job', { ...header, jobId: 'job_2' }, /holds the results of job job_1/],
  [
    'a changed input',
    { ...header, input: { ...header.input, files: [{ path: '/rows.csv', sha256: 'b'.repeat(64), sizeBytes: 10 }] } },
    /\/rows\.csv changed since the job began/,
  ],
  ['a missing input', { ...header, input: { ...header.input, files: [] } }, /\/rows\.csv was there .* and is gone/],
  [
    'an added input',
    {
      ...header,
      input: { ...header.input, files: [...header.input.files, { path: '/n.csv', sha256: SHA, sizeBytes: 1 }] },
    },
    /\/n\.csv was not there/,
  ],
  ['another spec', { ...header, specSha256: 'c'.repeat(64) }, /another version or spec/],
])('%s is not gone on with', (_, now, message) => {
  expect(() => requireSame(header, now, '/out')).toThrow(message);
});

test('the same is gone on with', () => {
  expect(() => requireSame(header, structuredClone(header), '/out')).not.toThrow();
});
