import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { idPrefixes } from './prediction-ids.ts';

const A = 'a'.repeat(64);
const B = 'b'.repeat(64);

test('the same job and file give the same ids, another job or file others', () => {
  const [a, b] = idPrefixes('job_1', [A, B]);
  expect(idPrefixes('job_1', [A, B])).toEqual([a, b]);
  expect(a).not.toBe(b);
  expect(idPrefixes('job_2', [A])[0]).not.toBe(a);
});

test('files of the same content in one job have ids of their own', () => {
  const prefixes = idPrefixes('job_1', [A, B, A, A]);
  expect(new Set(prefixes).size).toBe(4);
});

test('an id is made as documented', () => {
  const key = createHash('sha256').update(`job_1\n${A}\n0`).digest('hex').slice(0, 20);
  expect(idPrefixes('job_1', [A])).toEqual([`prd_${key}_`]);
});
