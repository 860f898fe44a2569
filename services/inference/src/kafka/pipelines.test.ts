import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readPipelines } from './pipelines.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'assay-pipelines-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const VALID = `pipelines:
  - name: flights
    endpoint: delay
    input: in
    output: out
    deadLetters: dead
`;

async function read(text: string) {
  const path = join(dir, 'pipelines.yaml');
  await writeFile(path, text);
  return readPipelines(path);
}

test('a pipeline has a group of its own name and chunks of 500 records unless it says otherwise', async () => {
  expect(await read(VALID)).toMatchObject([{ group: 'assay-flights', maxBatchRecords: 500 }]);
  expect(await read(`${VALID}    group: mine\n    maxBatchRecords: 7\n`)).toMatchObject([
    { group: 'mine', maxBatchRecords: 7 },
  ]);
});

describe('what is wrong is named with its line', () => {
  const second = VALID.replace('pipelines:\n', '');
  test.each([
    ['a typo', `${VALID}    maxBatchRecord: 5\n`, /yaml:7: .*did you mean "maxBatchRecords"/],
    ['a missing topic', VALID.replace('    output: out\n', ''), /pipelines\.yaml:2: .*output/],
    ['no topic name', VALID.replace('output: out', 'output: "a topic"'), /pipelines\.yaml:5: pipelines\[0\]\.output/],
    ['a session that brokers refuse', `${VALID}    sessionTimeoutMs: 100\n`, /pipelines\.yaml:7: .*sessionTimeoutMs/],
    ['results into the input', VALID.replace('output: out', 'output: in'), /yaml:5: .* is the input topic too/],
    ['dead letters into the input', VALID.replace('dead\n', 'in\n'), /yaml:6: .* is the input topic too/],
    [
      'a name taken twice',
      `${VALID}${second.replace('input: in', 'input: other')}`,
      /yaml:7: .*the name "flights" is taken/,
    ],
    [
      'two pipelines that would share an input',
      `${VALID}    group: g\n${second.replace('name: flights', 'name: again')}    group: g\n`,
      /yaml:13: .*pipeline "flights" reads this input in the same group/,
    ],
  ])('%s', async (_, text, message) => {
    const error = await read(text).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringMatching(message) });
  });

  test('a file that is not there', async () => {
    await expect(readPipelines(join(dir, 'absent.yaml'))).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('absent.yaml cannot be read'),
    });
  });
});
