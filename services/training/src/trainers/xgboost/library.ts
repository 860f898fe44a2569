/**
 * Finding XGBoost's library: the one that a setting names, else one in the cache, else the one in the wheel that pip
 * fetches. `xgboost-cpu` is small and has no CUDA; `xgboost` has it, and trains on the CPU as well.
 */
import type { AssayError } from '@assay/contracts';
import type { Device } from '../../domain/device.ts';
import {
  type CachedLibrary,
  findCached,
  findOrFetch,
  type LibraryOptions,
  unavailable as libraryUnavailable,
} from '../libraries/library-cache.ts';
import { XGBOOST_CPU_WHEEL, XGBOOST_VERSION } from '../libraries/wheels.ts';

const REMEDY = `install pip (Debian: python3-pip) and let it fetch, or set ASSAY_TRAINING_XGBOOST_LIBRARY to libxgboost.so of XGBoost ${XGBOOST_VERSION}; trainer logistic-regression needs neither`;

/**
 * @returns the path of libxgboost.so
 * @throws AssayError FAILED_PRECONDITION, saying what to do, where the library cannot be had
 */
export async function findXgBoost(device: Device, options: LibraryOptions): Promise<string> {
  if (options.library !== undefined) return options.library;
  if (device === 'cuda') return findOrFetch(WITH_CUDA, options);
  const { cacheDir } = options;
  return (
    (await findCached(CPU_ONLY, cacheDir)) ?? (await findCached(WITH_CUDA, cacheDir)) ?? findOrFetch(CPU_ONLY, options)
  );
}

export function unavailable(reason: string, cause?: unknown): AssayError {
  return libraryUnavailable({ remedy: REMEDY }, reason, cause);
}

/** The library finds its OpenMP library by its own path, so both stay where they are in the wheel. */
function place(path: string): string | undefined {
  if (path === 'xgboost/lib/libxgboost.so' || /^xgboost(_cpu)?\.libs\//.test(path)) return path;
  // The wheels hold no text of the licence (Apache-2.0); this file names it.
  return /^xgboost(_cpu)?-[^/]*\.dist-info\/METADATA$/.test(path) ? 'METADATA' : undefined;
}

const CPU_ONLY: CachedLibrary = {
  what: `XGBoost ${XGBOOST_VERSION} (5.6 MB)`,
  name: `xgboost-cpu-${XGBOOST_VERSION}`,
  file: 'xgboost/lib/libxgboost.so',
  wheel: XGBOOST_CPU_WHEEL,
  place,
  remedy: REMEDY,
};

/** CUDA's runtime is in the library. It loads NCCL when several machines train together, which Assay does not do. */
const WITH_CUDA: CachedLibrary = {
  what: `XGBoost ${XGBOOST_VERSION} with CUDA (132 MB)`,
  name: `xgboost-cuda-${XGBOOST_VERSION}`,
  file: 'xgboost/lib/libxgboost.so',
  wheel: {
    requirement: `xgboost==${XGBOOST_VERSION}`,
    builds: {
      x64: {
        platform: 'manylinux_2_28_x86_64',
        sha256: '99b4a6bbcb47212fec5cf5fbe12347215f073c08967431b0122cfbd1ee70312c',
      },
      arm64: {
        platform: 'manylinux_2_28_aarch64',
        sha256: '852eabc6d3b3702a59bf78dbfdcd1cb9c4d3a3b6e5ed1f8781d8b9512354fdd2',
      },
    },
  },
  place,
  remedy: REMEDY,
};
