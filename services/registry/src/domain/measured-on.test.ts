import { expect, it } from 'vitest';
import { measuredOn } from './measured-on.ts';

const dataset = (digest: string, context?: string) => ({
  ...{ name: digest, digest },
  tags: JSON.stringify(context === undefined ? [] : [{ key: 'mlflow.data.context', value: context }]),
});

it('metrics were measured on what the run names beside its training data', () => {
  const ofRun = [dataset('a', 'training'), dataset('b', 'eval'), dataset('c', 'Train'), dataset('d')];
  expect(measuredOn(['p'], ofRun)).toEqual(['b']);
});

it('metrics were measured on a part of everything, where the run does not say on which', () => {
  const sha256 = '0123456789abcdef'.repeat(4);
  expect(measuredOn([sha256], [dataset('a', 'training'), dataset('d')])).toEqual([sha256.slice(0, 32), 'a', 'd']);
  expect(measuredOn([], [])).toEqual([]);
});
