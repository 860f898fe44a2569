import { AssayError } from '@assay/contracts';
import { expect, test } from 'vitest';
import { plainReason, probeProvider } from './execution-provider.ts';
import { loadScorer } from './scorer.ts';
import { treeModel } from './testing/models.ts';

test.each(['cuda', 'tensorrt'] as const)('%s is refused with what is missing where it is missing', async (provider) => {
  await expect(probeProvider(provider)).rejects.toMatchObject({
    code: 'FAILED_PRECONDITION',
    message: expect.stringMatching(
      new RegExp(`^the execution provider ${provider} cannot be used: .*libonnxruntime_providers_`),
    ),
  });
});

test('the line of the runtime becomes a reason', () => {
  const line =
    'it ended with exit code 1: \u001b[1;31m2026-11-26 [E:onnxruntime, bridge.cc:2146 Create] FAIL : Failed to load library a.so with error: libcudnn.so.9: cannot open shared object file: No such file or directory';
  expect(plainReason(line)).toBe('libcudnn.so.9: cannot open shared object file: No such file or directory');
  expect(plainReason('it ended with SIGSEGV')).toBe('it ended with SIGSEGV');
});

test('a version that was to run on a GPU is not loaded on the CPU in silence', async () => {
  const { onnx, signature } = treeModel();
  const source = { onnx, signature, digest: 'a'.repeat(64), records: [] };
  await expect(loadScorer(source, { provider: 'cuda' })).rejects.toSatisfy(
    (error) => error instanceof AssayError && error.code === 'UNPROCESSABLE_MODEL' && /cuda/i.test(error.message),
  );
});
