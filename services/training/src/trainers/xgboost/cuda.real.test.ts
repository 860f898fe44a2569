import { beforeAll, describe, expect, test } from 'vitest';
import { features, LIBRARY_CACHE, makeRows } from '../trainer-under-test.ts';
import { loadXgBoost, type XgBoost } from './binding.ts';
import { requireBoosterOnCuda, requireCudaBuild, requireCudaDevice } from './cuda.ts';
import { findXgBoost } from './library.ts';
import { trainXgBoost } from './train.ts';

const { signal } = new AbortController();
let library: XgBoost;
beforeAll(async () => {
  library = loadXgBoost(await findXgBoost('cpu', { cacheDir: LIBRARY_CACHE, signal }));
});

/** Answers in the place of a driver, in a process of its own as the real one. */
const entry = new URL('./testing/driver-entry.ts', import.meta.url);

describe('without a GPU that answers, what was looked for is told', () => {
  test('where there is no driver', async () => {
    const looking = requireCudaDevice({ driver: 'libcuda-of-another-machine.so.1', signal });
    await expect(looking).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
    await expect(looking).rejects.toThrow(
      /^trainer\.device: cuda was asked for, and there is no GPU\. The NVIDIA driver's library libcuda-of-another-machine\.so\.1: it does not load: .*Device files \/dev\/nvidia\*: .*CUDA_VISIBLE_DEVICES: .*What to do: .*resources\.gpus: 1/,
    );
  });

  test.each([
    ['that has no device', 'has-none', 'cuInit gives error 100 (CUDA_ERROR_NO_DEVICE)'],
    ['that cannot count', 'cannot-count', 'cuDeviceGetCount gives error 999 (unknown)'],
    ['that counts none', 'counts-none', 'it counts 0 devices'],
    ['that crashes', 'crashes', 'it crashes the process (SIGABRT)'],
    ['whose answer is none', 'says-something-else', 'Unexpected token'],
  ])('by a driver %s', async (_, driver, reason) => {
    const looking = requireCudaDevice({ driver, entry, signal });
    await expect(looking).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
    await expect(looking).rejects.toThrow(`library ${driver}: `);
    await expect(looking).rejects.toThrow(reason);
  });

  test('by a driver that hangs', async () => {
    await expect(requireCudaDevice({ driver: 'hangs', entry, timeoutMs: 2000, signal })).rejects.toThrow(
      'library hangs: it did not answer within 2000 ms',
    );
  });

  test.each(['libc.so.6', 'XGBoost'])('by a library that is no driver: %s', async (name) => {
    const driver = name === 'XGBoost' ? library.path : name;
    await expect(requireCudaDevice({ driver, signal })).rejects.toThrow(
      new RegExp(`library ${RegExp.escape(driver)}: it does not load: .*cuInit`),
    );
  });
});

test('the devices that a driver counts are found', async () => {
  expect(await requireCudaDevice({ driver: 'counts-two', entry, signal })).toBe(2);
});

test('a library without CUDA is refused by name', () => {
  expect(() => requireCudaBuild(library)).toThrow(`${library.path} was built without CUDA`);
  expect(() => requireCudaBuild({ path: 'x', hasCuda: true })).not.toThrow();
});

describe('XGBoost, told to use a GPU that it does not find, goes over to the CPU', () => {
  test('which its config tells, and is refused', () => {
    const booster = library.createBooster([], { device: 'cuda', num_feature: '1' });
    expect(() => requireBoosterOnCuda(booster.config())).toThrow('XGBoost went over to "cpu"');
    booster.close();
  });

  test('so a job that gets past the other checks does not train', async () => {
    const rounds: number[] = [];
    const training = trainXgBoost(
      { ...library, hasCuda: true },
      { name: 'xgboost', device: 'cuda', rounds: 3 },
      {
        features,
        train: makeRows(500, 1),
        validation: makeRows(200, 2),
        seed: 1,
        threads: 1,
        signal,
        onStep: ({ done }) => rounds.push(done),
      },
    );
    await expect(training).rejects.toThrow('XGBoost went over to "cpu"');
    expect(rounds).toEqual([]);
  });
});

test('a booster on a GPU passes', () => {
  const config = { learner: { generic_param: { device: 'cuda:0' } } };
  expect(() => requireBoosterOnCuda(config)).not.toThrow();
});
