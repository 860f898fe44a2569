import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stageFiles } from '../../dockerfiles/stage-files.ts';

const ROOT = join(import.meta.dirname, '..', '..');
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'assay-image-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

const SERVICES = [
  { service: 'registry', entry: 'services-registry-registry.mjs', native: ['better-sqlite3', 'onnxruntime-node'] },
  { service: 'inference', entry: 'services-inference-inference.mjs', native: ['better-sqlite3', 'onnxruntime-node'] },
  {
    service: 'training',
    entry: 'services-training-training.mjs',
    native: ['@duckdb', '@koromix', 'better-sqlite3', 'onnxruntime-node'],
  },
];

describe.each(SERVICES)('the files of the $service image', ({ service, entry, native }) => {
  test(`hold the native libraries of ${native.join(', ')} for this CPU, and no others`, async () => {
    const folder = join(dir, service);
    await stageFiles(service, folder);
    const libraries = (await filesIn(folder)).filter((file) => /\.node$|\.so(\.|$)|\.dll$|\.dylib$/.test(file));
    const owners = libraries.map((file) => file.slice(join(folder, 'node_modules').length + 1).split('/')[0]);
    expect([...new Set(owners)].sort()).toEqual(native);
    expect(libraries.filter((file) => /darwin|win32|musl|cuda|tensorrt/i.test(file))).toEqual([]);
  });

  test('run by themselves, and stop when they are told to', async () => {
    const name = service.toUpperCase();
    const data = join(dir, `${service}-data`);
    const child = spawn(process.execPath, [join(dir, service, 'dist', 'entries', entry)], {
      cwd: dir,
      env: {
        [`ASSAY_${name}_PORT`]: '0',
        [service === 'inference' ? 'ASSAY_INFERENCE_CACHE_DIR' : 'ASSAY_DATA_DIR']: data,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
    }
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    try {
      const deadlineMs = performance.now() + 60_000;
      let url: string | undefined;
      while (url === undefined && child.exitCode === null && performance.now() < deadlineMs) {
        url = /listens on (http:\S+)/.exec(said)?.[1];
        await delay(20);
      }
      expect(url, said).toBeDefined();
      expect((await fetch(`${url}/livez`)).status).toBe(200);
      child.kill('SIGTERM');
      expect(await ended, said).toBe(0);
    } finally {
      child.kill('SIGKILL');
    }
  });
});

describe('the files of the training image, for its jobs', () => {
  test('are the programs of a process and of a pod, and the one that looks for a GPU, which runs', async () => {
    const entries = join(dir, 'training', 'dist', 'entries');
    const names = (await readdir(entries)).filter((name) => name.endsWith('.mjs'));
    expect(names).toEqual(
      expect.arrayContaining([
        'packages-jobs-child.mjs',
        'packages-jobs-pod.mjs',
        'services-training-cuda-devices.mjs',
        'services-training-job.mjs',
      ]),
    );
    const program = [join(entries, 'services-training-cuda-devices.mjs'), 'libcuda-of-another-machine.so.1'];
    const { stdout } = await promisify(execFile)(process.execPath, program, { cwd: dir });
    expect(JSON.parse(stdout)).toMatchObject({ outcome: 'failed', reason: expect.stringContaining('does not load') });
  });

  test('and their libraries are found without fetching anything', async () => {
    const cacheDir = join(ROOT, '.cache', 'images', 'files', 'libraries');
    const program = join(ROOT, 'dockerfiles', 'fetch-libraries.ts');
    await promisify(execFile)(process.execPath, [program, cacheDir, 'cpu']);
    const found = await readdir(cacheDir);
    const of = (name: string) => `${name}-${process.arch}`;
    expect(found.sort()).toEqual([of('libgomp-8.5'), of('lightgbm-4.7.0'), of('xgboost-cpu-3.2.0')]);
    const again = await promisify(execFile)(process.execPath, [program, cacheDir, 'cpu'], { env: { PATH: '' } });
    expect(again.stderr).not.toContain('fetching');
  });
});

test('an image that there is not is refused by name', async () => {
  await expect(stageFiles('regisrty', join(dir, 'none'))).rejects.toThrow(/there are registry, inference, training/);
});
