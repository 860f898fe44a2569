/**
 * Whether there is a GPU to train on. XGBoost takes the CPU where it finds none, with a line in its log; who asked for a
 * GPU has the job fail instead, told what was looked for and where.
 */
import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { AssayError, parse } from '@assay/contracts';
import { entryUrl, nodeArguments } from '@assay/runtime';
import Type from 'typebox';
import type { XgBoost } from './binding.ts';
import { unavailable } from './library.ts';

/** The library of NVIDIA's driver: of the machine, and brought into a container by NVIDIA's runtime. */
export const CUDA_DRIVER = 'libcuda.so.1';

/** What entries/cuda-devices.ts writes: the answer of countDevices (cuda-driver.ts). */
export const CudaAnswer = Type.Union([
  Type.Object({ outcome: Type.Literal('found'), devices: Type.Integer({ minimum: 0 }) }),
  Type.Object({ outcome: Type.Literal('failed'), reason: Type.String() }),
]);
export type CudaAnswer = Type.Static<typeof CudaAnswer>;

export interface CudaSearch {
  /** Default CUDA_DRIVER. */
  readonly driver?: string;
  /** The program that asks the driver. Default entries/cuda-devices.ts. */
  readonly entry?: URL;
  /** Default 30,000: a driver that hangs must not take the job with it. */
  readonly timeoutMs?: number;
  readonly signal: AbortSignal;
}

/**
 * @returns how many GPUs there are, at least one
 * @throws AssayError FAILED_PRECONDITION that says what was looked for, what was found, and what to do
 */
export async function requireCudaDevice(search: CudaSearch): Promise<number> {
  const { driver = CUDA_DRIVER } = search;
  const answer = await ask(driver, search);
  if (answer.outcome === 'found' && answer.devices > 0) return answer.devices;
  const ofDriver = answer.outcome === 'found' ? 'it counts 0 devices' : answer.reason;
  const { CUDA_VISIBLE_DEVICES: visible } = process.env;
  const nodes = await deviceFiles();
  throw new AssayError(
    'FAILED_PRECONDITION',
    `trainer.device: cuda was asked for, and there is no GPU. The NVIDIA driver's library ${driver}: ${ofDriver}. ` +
      `Device files /dev/nvidia*: ${nodes.length === 0 ? 'none' : nodes.join(', ')}. ` +
      `CUDA_VISIBLE_DEVICES: ${visible === undefined ? 'not set' : JSON.stringify(visible)}. ` +
      'What to do: run the job where there is an NVIDIA GPU with its driver (on Kubernetes: resources.gpus: 1, and the ' +
      'NVIDIA container runtime on the node), or write device: cpu',
  );
}

/** In a process of its own: a driver that does not fit its kernel may crash or hang in the first call. */
async function ask(driver: string, { entry, timeoutMs = 30_000, signal }: CudaSearch): Promise<CudaAnswer> {
  const file = fileURLToPath(entry ?? entryUrl('services/training', 'cuda-devices'));
  const program = [...nodeArguments(), file, driver];
  try {
    const { stdout } = await promisify(execFile)(process.execPath, program, {
      signal,
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
      maxBuffer: 1 << 20,
    });
    return parse(CudaAnswer, JSON.parse(stdout), 'answer');
  } catch (error) {
    signal.throwIfAborted();
    return { outcome: 'failed', reason: endOf(error, timeoutMs) };
  }
}

function endOf(error: unknown, timeoutMs: number): string {
  if (typeof error !== 'object' || error === null) return String(error);
  if ('killed' in error && error.killed === true) return `it did not answer within ${timeoutMs} ms`;
  if ('signal' in error && typeof error.signal === 'string') return `it crashes the process (${error.signal})`;
  const said = 'stderr' in error && typeof error.stderr === 'string' ? error.stderr.trim().split('\n').pop() : '';
  return said || String(error);
}

async function deviceFiles(): Promise<string[]> {
  const names = await readdir('/dev').catch(() => []);
  return names
    .filter((name) => name.startsWith('nvidia'))
    .sort()
    .map((name) => `/dev/${name}`);
}

/** @throws AssayError FAILED_PRECONDITION where the library cannot use a GPU at all */
export function requireCudaBuild({ hasCuda, path }: Pick<XgBoost, 'hasCuda' | 'path'>): void {
  if (hasCuda) return;
  throw unavailable(
    `trainer.device: cuda was asked for, and ${path} was built without CUDA (XGBuildInfo: USE_CUDA false); the wheel xgboost has it, the wheel xgboost-cpu has not`,
  );
}

const BoosterConfig = Type.Object({
  learner: Type.Object({ generic_param: Type.Object({ device: Type.String() }) }),
});

/** @throws AssayError FAILED_PRECONDITION where the booster is not on a GPU, whatever it was told */
export function requireBoosterOnCuda(config: unknown): void {
  const { device } = parse(BoosterConfig, config, 'config').learner.generic_param;
  if (/^cuda:\d+$/.test(device)) return;
  throw new AssayError(
    'FAILED_PRECONDITION',
    `trainer.device: cuda was asked for, and XGBoost went over to "${device}"; its log tells why. The driver may be too old for CUDA 12.9. What to do: bring the driver up to date, or write device: cpu`,
  );
}
