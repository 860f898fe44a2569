/**
 * The part of NVIDIA's driver that tells how many GPUs there are.
 * https://docs.nvidia.com/cuda/cuda-driver-api: every function gives 0, or an error.
 */
import koffi from 'koffi';
import type { CudaAnswer } from './cuda.ts';

export interface CudaDriver {
  cuInit(flags: number): number;
  /** Writes the number of devices into the first place. */
  cuDeviceGetCount(count: number[]): number;
  /** Writes the name into the first place; null for an error that the driver does not know. */
  cuGetErrorName(error: number, name: (string | null)[]): number;
}

/** @throws Error where the library does not load, or lacks these functions */
export function openDriver(path: string): CudaDriver {
  const library = koffi.load(path);
  return {
    cuInit: library.func('int cuInit(unsigned int flags)'),
    cuDeviceGetCount: library.func('int cuDeviceGetCount(_Out_ int *count)'),
    cuGetErrorName: library.func('int cuGetErrorName(int error, _Out_ const char **name)'),
  };
}

/** `open` is what gives the driver: openDriver with its path. */
export function countDevices(open: () => CudaDriver): CudaAnswer {
  let driver: CudaDriver;
  try {
    driver = open();
  } catch (error) {
    return { outcome: 'failed', reason: `it does not load: ${error instanceof Error ? error.message : String(error)}` };
  }
  const failed = (call: string, error: number): CudaAnswer => {
    const name: (string | null)[] = [null];
    driver.cuGetErrorName(error, name);
    return { outcome: 'failed', reason: `${call} gives error ${error} (${name[0] ?? 'unknown'})` };
  };
  const initialised = driver.cuInit(0);
  if (initialised !== 0) return failed('cuInit', initialised);
  const count = [0];
  const counted = driver.cuDeviceGetCount(count);
  return counted === 0 ? { outcome: 'found', devices: count[0] ?? 0 } : failed('cuDeviceGetCount', counted);
}
