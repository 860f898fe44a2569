/** In the place of entries/cuda-devices.ts, for the tests of cuda.ts: ends as the name of its driver tells. */
import { countDevices } from '../cuda-driver.ts';

const [driver] = process.argv.slice(2);

function cuInit(): number {
  if (driver === 'crashes') process.abort();
  if (driver === 'hangs') while (true);
  return driver === 'has-none' ? 100 : 0;
}

function cuDeviceGetCount(count: number[]): number {
  count[0] = driver === 'counts-two' ? 2 : 0;
  return driver === 'cannot-count' ? 999 : 0;
}

function cuGetErrorName(error: number, name: (string | null)[]): number {
  name[0] = error === 100 ? 'CUDA_ERROR_NO_DEVICE' : null;
  return 0;
}

if (driver === 'says-something-else') process.stdout.write('hello');
else process.stdout.write(JSON.stringify(countDevices(() => ({ cuInit, cuDeviceGetCount, cuGetErrorName }))));
