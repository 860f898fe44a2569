import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { COMPARED_FROM, meansTheSame } from './operator-changes.ts';

const SCRIPT = fileURLToPath(new URL('../testing/operator_changes.py', import.meta.url));
/** Their schemas say nothing of what changed. */
const CHANGED_BY_TEXT = ['AveragePool', 'GroupNormalization'];

test('every change of an operator is the one that the schemas of the onnx package show', async () => {
  const { stdout } = await promisify(execFile)('python3', [SCRIPT], { maxBuffer: 1 << 24 });
  const changes: [string, string, number, number, boolean][] = JSON.parse(stdout);
  const compared = changes.filter(([domain, , , to]) => domain !== '' || to > COMPARED_FROM);
  expect(compared.length).toBeGreaterThan(200);
  const wrong = compared.filter(
    ([domain, name, from, to, alike]) =>
      !CHANGED_BY_TEXT.includes(name) &&
      meansTheSame(domain, name, domain === '' ? Math.max(from, COMPARED_FROM) : from, to) !== alike,
  );
  expect(wrong).toEqual([]);
});
