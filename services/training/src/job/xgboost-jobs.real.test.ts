import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  customerSpec,
  startTraining,
  type TrainingUnderTest,
  temporaryFolder,
  writeCustomers,
} from '../training-under-test.ts';

/** Many rounds on few rows: it is seen to train before it has ended. */
const MANY_ROUNDS = { name: 'xgboost', rounds: 1500, params: { max_depth: 4 } } as const;

const opened = new AsyncDisposableStack();
let training: TrainingUnderTest;
let customers: string;

beforeAll(async () => {
  training = opened.use(await startTraining());
  customers = await writeCustomers(await temporaryFolder(opened), 4000);
});
afterAll(() => opened.disposeAsync());

test('a wrong parameter fails the job with kind configuration, and is not tried again', async () => {
  const spec = customerSpec(customers, { name: 'xgboost', params: { max_depth: 'deep' } });
  expect(await training.run(spec)).toMatchObject({
    state: 'failed',
    attempts: 1,
    failure: {
      kind: 'configuration',
      retryable: false,
      message: "trainer.params: XGBoost: Invalid Parameter format for max_depth expect int but value='deep'",
    },
  });
});

test('a job that asks for a GPU fails where there is none, and trains on nothing else', async () => {
  await using hidden = new AsyncDisposableStack();
  const { CUDA_VISIBLE_DEVICES: visible } = process.env;
  hidden.defer(() => {
    if (visible === undefined) delete process.env.CUDA_VISIBLE_DEVICES;
    else process.env.CUDA_VISIBLE_DEVICES = visible;
  });
  process.env.CUDA_VISIBLE_DEVICES = '-1'; // hides the GPUs of a machine that has some
  const before = training.registry.registrations;
  for (const spec of [
    customerSpec(customers, { name: 'xgboost', device: 'cuda' }),
    { ...customerSpec(customers, { name: 'xgboost' }), resources: { gpus: 1 } },
  ]) {
    const job = await training.run(spec);
    expect(job).toMatchObject({ state: 'failed', attempts: 1, failure: { kind: 'configuration', retryable: false } });
    expect(job.failure?.message).toMatch(
      /^trainer\.device: cuda was asked for, and there is no GPU\. The NVIDIA driver's library libcuda\.so\.1: .*CUDA_VISIBLE_DEVICES: "-1"/,
    );
  }
  expect(training.registry.registrations).toBe(before);
});

test('a GPU beside device cpu is refused when the job is created', async () => {
  const spec = { ...customerSpec(customers, { name: 'xgboost', device: 'cpu' }), resources: { gpus: 1 } } as const;
  await expect(training.client.createJob({ spec })).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
    details: [{ place: 'spec.resources.gpus', message: 'a GPU is asked for, and trainer.device is cpu' }],
  });
});

test('a job is cancelled between two rounds, and nothing is registered', async () => {
  const before = training.registry.registrations;
  const spec = customerSpec(customers, { name: 'xgboost', rounds: 100_000 });
  const { id } = await training.client.createJob({ spec });
  for await (const job of training.client.followJob(id)) {
    if (job.progress?.stage === 'train') await training.client.cancelJob(id);
  }
  expect(await training.client.getJob(id)).toMatchObject({ state: 'cancelled', result: null, failure: null });
  expect(training.registry.registrations).toBe(before);
});

test('a job whose process is killed while it trains is begun again, and leaves one version', async () => {
  const before = training.registry.versions.length;
  const { id } = await training.client.createJob({ spec: customerSpec(customers, MANY_ROUNDS) });
  let killed = 0;
  for await (const job of training.client.followJob(id)) {
    if (job.attempts === 1 && job.progress?.stage === 'train' && killed === 0) {
      killed++;
      const text = await readFile(join(training.dataDir, 'training', 'launches', `${id}.1`, 'process.json'), 'utf8');
      const { pid }: { pid: number } = JSON.parse(text);
      process.kill(pid, 'SIGKILL');
    }
  }
  expect(killed).toBe(1);
  expect(await training.client.getJob(id)).toMatchObject({ state: 'succeeded', attempts: 2, failure: null });
  expect(training.registry.versions).toHaveLength(before + 1);
});
