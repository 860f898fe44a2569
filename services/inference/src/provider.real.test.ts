import { join } from 'node:path';
import { expect, test } from 'vitest';
import { serveStatic, temporaryFolder } from './inference-under-test.ts';
import { versionModel } from './models-under-test.ts';

test('a GPU that is asked for and absent is no start, and the reason says what is missing and what to do', async () => {
  await using folder = await temporaryFolder();
  await versionModel(folder.path, 1);
  const models = [{ name: 'flights', path: join(folder.path, 'version-1') }];
  await expect(serveStatic(folder.path, models, { provider: 'cuda' })).rejects.toMatchObject({
    code: 'FAILED_PRECONDITION',
    message: expect.stringMatching(/provider cuda cannot be used: .+ ASSAY_INFERENCE_PROVIDER_FALLBACK=true/),
  });
});

test('where the CPU is allowed instead it serves, and readiness and a metric say so', async () => {
  await using folder = await temporaryFolder();
  await versionModel(folder.path, 1);
  const models = [{ name: 'flights', path: join(folder.path, 'version-1') }];
  const flags = { provider: 'cuda', providerFallback: true };
  await using inference = await serveStatic(folder.path, models, flags);
  const { body } = await inference.post('/v1/endpoints/flights/score', { records: [{ x: 1 }] });
  expect(body.predictions[0].outputs.version).toBe(1);
  const ready = await inference.get('/readyz');
  expect(ready.status).toBe(200);
  expect(ready.body.checks.provider.message).toMatch(/^versions run on the CPU: the execution provider cuda cannot/);
  expect((await inference.get('/metrics')).text).toMatch(/^assay_inference_provider_missing 1$/m);
});
