import type { TrainingSpec } from '@assay/contracts';
import { expect, test } from 'vitest';
import { deviceOf, deviceProblems } from './device.ts';

type DeviceSpec = Pick<TrainingSpec, 'trainer' | 'resources'>;

test.each<[DeviceSpec, string]>([
  [{ trainer: { name: 'xgboost' } }, 'cpu'],
  [{ trainer: { name: 'xgboost' }, resources: { cpu: 2 } }, 'cpu'],
  [{ trainer: { name: 'xgboost', device: 'cuda' } }, 'cuda'],
  [{ trainer: { name: 'xgboost' }, resources: { gpus: 1 } }, 'cuda'],
  [{ trainer: { name: 'xgboost', device: 'cuda' }, resources: { gpus: 1 } }, 'cuda'],
  [{ trainer: { name: 'xgboost', device: 'cpu' }, resources: { gpus: 0 } }, 'cpu'],
  [{ trainer: { name: 'lightgbm' }, resources: { memory: '2Gi' } }, 'cpu'],
])('%j trains on the %s', (spec, device) => {
  expect([...deviceProblems(spec)]).toEqual([]);
  expect(deviceOf(spec)).toBe(device);
});

test.each<[DeviceSpec, string]>([
  [{ trainer: { name: 'xgboost', device: 'cpu' }, resources: { gpus: 1 } }, 'trainer.device is cpu'],
  [{ trainer: { name: 'xgboost', device: 'cuda' }, resources: { gpus: 0 } }, 'trainer.device is cuda'],
  [{ trainer: { name: 'xgboost' }, resources: { gpus: 2 } }, 'a job trains on one GPU'],
  [{ trainer: { name: 'lightgbm' }, resources: { gpus: 1 } }, 'trainer lightgbm trains on the CPU'],
  [{ trainer: { name: 'logistic-regression' }, resources: { gpus: 1 } }, 'logistic-regression trains on the CPU'],
])('%j is refused', (spec, message) => {
  expect([...deviceProblems(spec)]).toEqual([
    expect.objectContaining({ place: 'resources.gpus', message: expect.stringContaining(message) }),
  ]);
});
