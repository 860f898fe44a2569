import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readAll } from './conformance.ts';
import { openBlobStore } from './index.ts';

const program = fileURLToPath(new URL('./fixtures/putting-service.ts', import.meta.url));
const NOBODY = 65_534;

describe('blobs in files, by a process of its own', () => {
  let dir: string;
  let child: ChildProcess | undefined;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'assay-blobs-'));
  });
  afterEach(async () => {
    child?.kill('SIGKILL');
    await chmod(join(dir, 'blobs'), 0o755).catch(() => undefined);
    await rm(dir, { recursive: true });
  });

  interface Service {
    readonly lines: string[];
    readonly exited: Promise<unknown>;
  }

  function start(
    options: { chunks: number; count: number; maxFileBytes?: number; asNobody?: boolean },
    blobs = join(dir, 'blobs'),
  ): Service {
    const args = [program, `file:${blobs}`, String(options.chunks), String(options.count)];
    const identity = options.asNobody === true && process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
    const stdio = ['ignore', 'pipe', 'inherit'] as const;
    const started =
      options.maxFileBytes === undefined
        ? spawn(process.execPath, args, { stdio: [...stdio], ...identity })
        : spawn('sh', ['-c', `ulimit -f ${options.maxFileBytes / 512}; exec "$0" "$@"`, process.execPath, ...args], {
            stdio: [...stdio],
          });
    child = started;
    const lines: string[] = [];
    let rest = '';
    started.stdout?.on('data', (data: Buffer) => {
      const parts = (rest + data.toString()).split('\n');
      rest = parts.pop() ?? '';
      lines.push(...parts);
    });
    return { lines, exited: once(started, 'close') };
  }

  async function checkAll(): Promise<string[]> {
    const store = await openBlobStore(`file:${join(dir, 'blobs')}`);
    const keys: string[] = [];
    for await (const { key } of store.list('')) {
      const bytes = await readAll((await store.get(key)).body);
      expect(`by-digest/${createHash('sha256').update(bytes).digest('hex')}`).toBe(key);
      keys.push(key);
    }
    return keys;
  }

  it('has all that was acknowledged, whole, and nothing in part, when the process is killed with -9', async () => {
    for (const acknowledged of [1, 3, 6]) {
      const { lines, exited } = start({ chunks: 24, count: 1_000_000 });
      await expect.poll(() => lines.length, { timeout: 60_000, interval: 5 }).toBeGreaterThanOrEqual(acknowledged);
      child?.kill('SIGKILL');
      await exited;
      const keys = await checkAll();
      expect(keys).toEqual(expect.arrayContaining(lines));
      expect(await readdir(join(dir, 'blobs', '.tmp'))).toEqual([]); // swept when it was opened
    }
  });

  it('says that there is no space, and keeps nothing of what did not fit', async () => {
    const { lines, exited } = start({ chunks: 100, count: 1, maxFileBytes: 1024 * 1024 });
    await exited;
    expect(lines).toEqual([expect.stringMatching(/^refused AssayError blobs in .*: the disk is full/)]);
    expect(await checkAll()).toEqual([]);
    expect(await readdir(join(dir, 'blobs', '.tmp'))).toEqual([]);
  });

  it('says that it may not write there', async () => {
    await chmod(dir, 0o755);
    await mkdir(join(dir, 'blobs'));
    await chmod(join(dir, 'blobs'), 0o555);
    const { lines, exited } = start({ chunks: 1, count: 1, asNobody: true });
    await exited;
    expect(lines).toEqual([expect.stringMatching(/^refused AssayError blobs in .*: no permission to read or write/)]);
  });

  it('takes no more memory for a larger blob', async () => {
    const kilobytesOf = async (chunks: number): Promise<number> => {
      const { lines, exited } = start({ chunks, count: 1 });
      await exited;
      return Number(/^done (\d+)$/.exec(lines.at(-1) ?? '')?.[1]);
    };
    const small = await kilobytesOf(16); // 1 MiB
    const large = await kilobytesOf(2048); // 128 MiB
    expect(small).toBeGreaterThan(0);
    expect(large - small).toBeLessThan(48 * 1024);
  });
});
