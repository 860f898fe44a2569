/**
 * What a version is taken to hold in memory. Its part of the process's resident memory cannot be told from that of the
 * others, so it is estimated from its file by what was measured (docs/inference.md).
 */
import type { RoutedVersion } from '@assay/contracts';
import { MODEL_FILE } from '@assay/model-package';
import type { InferenceConfig } from '../config.ts';
import type { MemoryLimit } from '../domain/live-set.ts';

/** Sessions, encoder, signature and golden records of a small model. */
const SMALLEST_BYTES = 700_000;
/** A version in a process of its own: Node.js and the runtime, once more. */
const PROCESS_BYTES = 80_000_000;

type MemorySettings = Pick<InferenceConfig, 'modelMemoryBytes' | 'modelMemoryFactor' | 'isolation'>;

/** @returns undefined where memory is not limited */
export function memoryLimit(settings: MemorySettings): MemoryLimit | undefined {
  const { modelMemoryBytes, modelMemoryFactor, isolation } = settings;
  if (modelMemoryBytes === 0) return undefined;
  const always = SMALLEST_BYTES + (isolation === 'process' ? PROCESS_BYTES : 0);
  return {
    maxBytes: modelMemoryBytes,
    sizeOf: (version) => Math.ceil(always + modelMemoryFactor * modelBytes(version)),
  };
}

function modelBytes({ files }: RoutedVersion): number {
  return files.find(({ path }) => path === MODEL_FILE)?.sizeBytes ?? 0;
}
