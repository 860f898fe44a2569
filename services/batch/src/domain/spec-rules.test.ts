import { expect, test } from 'vitest';
import { idleGpus, pathsOutside } from './spec-rules.ts';

test('a batch job that asks for a GPU is refused: nothing would compute on it', () => {
  expect(idleGpus({ resources: { gpus: 1 } })).toMatchObject([{ place: 'spec.resources.gpus' }]);
  expect(idleGpus({ resources: { gpus: 0, cpu: 2 } })).toEqual([]);
  expect(idleGpus({})).toEqual([]);
});

test('paths that lead out of the folder of the service are named, by whatever way they lead out', () => {
  const outside = (path: string) => pathsOutside('/files', [{ place: 'spec.input.path', path }], '/files/in').length;
  expect(['a.csv', '../b.csv', '/files/c.csv'].map(outside)).toEqual([0, 0, 0]);
  expect(['../../a.csv', '/etc/passwd', '/files-of-others/a.csv', '/files/../a.csv'].map(outside)).toEqual([
    1, 1, 1, 1,
  ]);
});
