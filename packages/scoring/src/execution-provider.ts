/**
 * Where ONNX Runtime runs a graph: the CPU, or a GPU by CUDA or TensorRT. A GPU that was asked for and cannot be had is
 * said; a model runs on the CPU instead only where that is allowed in so many words.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { AssayError } from '@assay/contracts';
import { entryUrl } from '@assay/runtime';
import { gpuEnvironment } from './gpu-environment.ts';
import type { GpuProvider } from './interfaces.ts';
import { runInChild } from './run-in-child.ts';

/** Making a CUDA context and loading cuDNN takes seconds, and gigabytes of address space. */
const PROBE_TIMEOUT_MS = 120_000;
const PROBE_MEMORY_BYTES = 8 * 1024 ** 3;

/**
 * Whether graphs can be run there: a small one is, in a process of its own, since a library that is missing or does not
 * fit its driver may crash the process that loads it.
 * @throws AssayError FAILED_PRECONDITION with the reason: a library, a driver or a device that is not there
 */
export async function probeProvider(provider: GpuProvider, options: { signal?: AbortSignal } = {}): Promise<void> {
  const missing = missingLibraries(provider);
  if (missing.length > 0) throw unusable(provider, `this installation of ONNX Runtime has no ${missing.join(', no ')}`);
  await runInChild(entryUrl('packages/scoring', 'probe-provider'), [provider], {
    timeoutMs: PROBE_TIMEOUT_MS,
    maxMemoryBytes: PROBE_MEMORY_BYTES,
    environment: gpuEnvironment(),
    refused: (why) => unusable(provider, plainReason(why)),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
}

/** Of the files that hold the provider, beside the runtime's own: the package of npm comes without them. */
function missingLibraries(provider: GpuProvider): string[] {
  const folder = join(
    dirname(createRequire(import.meta.url).resolve('onnxruntime-node')),
    '..',
    'bin',
    'napi-v6',
    process.platform,
    process.arch,
  );
  const libraries = ['shared', provider].map((part) => `libonnxruntime_providers_${part}.so`);
  return libraries.filter((library) => !existsSync(join(folder, library)));
}

/** The runtime's line of its log without colours, places in its sources, and what is said twice. */
export function plainReason(why: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape of a terminal's colours
  const plain = why.replace(/\u001b\[[0-9;]*m/g, '');
  return /with error: (.+)$/.exec(plain)?.[1] ?? plain;
}

function unusable(provider: GpuProvider, why: string): AssayError {
  return new AssayError('FAILED_PRECONDITION', `the execution provider ${provider} cannot be used: ${why}`);
}
