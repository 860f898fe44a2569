import { AssayError } from '@assay/contracts';
import { describe, expect, test } from 'vitest';
import { chooseProvider } from './choose-provider.ts';

const there = async (): Promise<void> => undefined;
const missing = async (): Promise<void> => {
  throw new AssayError('FAILED_PRECONDITION', 'the execution provider cuda cannot be used: no libcuda.so.1');
};

function choose(settings: object, probe: () => Promise<void>) {
  const warned: unknown[] = [];
  const log = { warn: (fields: unknown) => void warned.push(fields) };
  const chosen = chooseProvider({ provider: 'cuda', providerFallback: false, ...settings }, log, probe);
  return { chosen, warned };
}

describe('the provider of versions', () => {
  test('is the CPU, and nothing is tried, where nothing else is asked for', async () => {
    expect(await choose({ provider: 'cpu' }, missing).chosen).toEqual({ provider: 'cpu', fallback: false });
  });

  test('is a GPU that is there', async () => {
    expect(await choose({}, there).chosen).toEqual({ provider: 'cuda', fallback: false });
    expect(await choose({ providerFallback: true }, there).chosen).toEqual({ provider: 'cuda', fallback: true });
  });

  test('is refused with what is missing and what to do, where it is not there', async () => {
    await expect(choose({}, missing).chosen).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: expect.stringMatching(/no libcuda\.so\.1\. .*ASSAY_INFERENCE_PROVIDER_FALLBACK=true/),
    });
  });

  test('is the CPU instead where that is allowed, and it is said', async () => {
    const { chosen, warned } = choose({ providerFallback: true }, missing);
    const problem = 'versions run on the CPU: the execution provider cuda cannot be used: no libcuda.so.1';
    expect(await chosen).toEqual({ provider: 'cpu', fallback: false, problem });
    expect(warned).toHaveLength(1);
  });
});
