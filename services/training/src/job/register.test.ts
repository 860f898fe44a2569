import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRegistryClient } from '@assay/client';
import type { TrainingSpec } from '@assay/contracts';
import { writePackage } from '@assay/model-package';
import { expect, test } from 'vitest';
import { startRegistry } from '../registry-under-test.ts';
import { registerVersion } from './register.ts';

const spec: TrainingSpec = {
  ...{ model: 'churn', source: { path: 'x.csv' }, target: { name: 'y', expression: 'y' }, seed: 1 },
  ...{ features: [{ name: 'x', dtype: 'float32' }], split: { by: 'random', validation: 0.2, test: 0.2 } },
  ...{ trainer: { name: 'logistic-regression' }, register: { alias: 'champion' } },
};

test('a version whose gates are not met is registered, its alias stays, and the log says what is missing', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'assay-register-'));
  await using registry = await startRegistry();
  await using client = createRegistryClient({ url: registry.url });
  try {
    const packageDir = join(dir, 'package');
    await writePackage(packageDir, {
      onnx: Buffer.from('a graph'),
      signature: {
        features: [{ name: 'x', dtype: 'float32', shape: [], nullable: false }],
        outputs: [{ name: 'y', dtype: 'float32', shape: [] }],
      },
      golden: { source: 'training', records: [{ x: 1 }], outputs: [{ y: 1 }], tolerance: { absolute: 0, relative: 0 } },
      lineage: { datasetSha256s: [], libraries: {}, metrics: {} },
      createdAt: '2026-01-01T00:00:00Z',
    });
    const notes: string[] = [];
    const register = () =>
      registerVersion({
        ...{ registry: client, spec, jobId: 'job_1', packageDir, signal: AbortSignal.timeout(10_000) },
        note: (message) => notes.push(message),
      });
    registry.missingGates = [{ place: 'gates.approvals', message: 'there is: none', expected: 'one' }];
    expect((await register()).version).toBe(1);
    expect([...registry.aliases]).toEqual([]);
    expect(notes).toEqual(['gates are not met', 'gates.approvals: required: one; there is: none']);

    registry.missingGates = [{ place: 'endpoint churn', message: 'its contract breaks' }];
    await expect(register()).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
    registry.missingGates = [];
    await register();
    expect([...registry.aliases]).toEqual([['champion', 'ver_1']]);
  } finally {
    await rm(dir, { recursive: true });
  }
});
