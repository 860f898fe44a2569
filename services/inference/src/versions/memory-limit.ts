/**
 * What a version is taken to hold in memory. Its part of the process's resident memory cannot be told from that of the
 * others, so it is estimated from its file by what was measured (docs/inference.md).
 */
import type { RoutedVersion } from '@assay/contracts';
import { MODEL_FILE } from '@assay/model-package';
import type { ScorerFindings } from '@assay/scoring';
import type { InferenceConfig } from '../config.ts';
import type { MemoryLimit } from '../domain/live-set.ts';
import { placeOf } from './load-version.ts';

/** Sessions, encoder, signature and golden records of a small model: 0.5 to 1.2 MB, and as much of heap as varies from run to run. */
const SMALLEST_BYTES = 1_800_000;
/** What the place of a version takes besides: an isolate of JavaScript, or Node.js and the runtime once more. */
const PLACE_BYTES: Readonly<Record<ScorerFindings['place'], number>> = {
  loop: 0,
  thread: 22_000_000,
  process: 80_000_000,
};

type MemorySettings = Pick<InferenceConfig, 'modelMemoryBytes' | 'modelMemoryFactor' | 'placement' | 'isolation'>;

/** @returns undefined where memory is not limited */
export function memoryLimit(settings: MemorySettings): MemoryLimit | undefined {
  const { modelMemoryBytes, modelMemoryFactor } = settings;
  if (modelMemoryBytes === 0) return undefined;
  const place = placeOf(settings);
  // `auto` is the loop until the first load has measured the version.
  const expected = place === 'auto' ? 'loop' : place;
  return {
    maxBytes: modelMemoryBytes,
    sizeOf(version, loaded) {
      const placeBytes = PLACE_BYTES[loaded?.findings?.place ?? expected];
      return Math.ceil(SMALLEST_BYTES + placeBytes + modelMemoryFactor * modelBytes(version));
    },
  };
}

function modelBytes({ files }: RoutedVersion): number {
  return files.find(({ path }) => path === MODEL_FILE)?.sizeBytes ?? 0;
}
