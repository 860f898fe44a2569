/** The bundle as `make build` writes it: one way through all of it, by the `assay` command alone. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { glob, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { float32Tensor, GraphBuilder } from '@assay/onnx';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildBundle } from '../../tools/build.ts';
import type { RunFile } from '../parts/assay.ts';

const ROOT = join(import.meta.dirname, '..', '..');
/** Beside `dist`, which may be in use and must not be older than the sources. */
const BUNDLE = join(ROOT, '.cache', 'bundle-under-test');
/** Kept between runs: pip fetches the training library once. */
const LIBRARIES = join(ROOT, '.cache', 'libraries');
const CLI = join(BUNDLE, 'entries', 'cli.mjs');
const PORTS = ['registry', 'inference', 'training', 'batch', 'monitoring'].flatMap((service) => [
  `--${service}-port`,
  '0',
]);

let work = '';
let dataDir = '';
const running = new Set<ChildProcess>();

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

interface Program {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  readonly out: () => string;
}

function start(args: readonly string[], env: Record<string, string> = {}, nodeArgs: readonly string[] = []): Program {
  const child = spawn(process.execPath, [...nodeArgs, CLI, ...args], {
    cwd: work,
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      ASSAY_DATA_DIR: dataDir,
      ASSAY_TRAINING_LIBRARY_CACHE_DIR: LIBRARIES,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const ended = new Promise<Ended>((resolve) => {
    child.once('close', (code) => {
      running.delete(child);
      resolve({ code, out, err });
    });
  });
  return { child, ended, out: () => out };
}

async function assay(...args: string[]): Promise<Ended> {
  return start(args).ended;
}

async function json(...args: string[]): Promise<unknown> {
  const { code, out, err } = await assay(...args, '--json');
  if (code !== 0) throw new Error(`assay ${args.join(' ')} ended with ${code}: ${err}`);
  return JSON.parse(out);
}

/** Starts standalone and waits until `run.json` says that it is ready. */
async function up(...args: string[]): Promise<Program> {
  const program = start(['up', ...PORTS, ...args]);
  let over: Ended | undefined;
  void program.ended.then((ended) => {
    over = ended;
  });
  while (!existsSync(join(dataDir, 'run.json'))) {
    if (over !== undefined) throw new Error(`assay up ended with ${over.code}: ${over.out}${over.err}`);
    await delay(50);
  }
  return program;
}

async function stop({ child, ended }: Program): Promise<Ended> {
  child.kill('SIGTERM');
  return ended;
}

function timesModel(factor: number): Uint8Array {
  const graph = new GraphBuilder();
  const x = graph.input('x', 'float32', ['N', 1]);
  graph.node('Mul', [x, graph.constant(float32Tensor([factor]))], { outputs: ['product'] });
  graph.output('product', 'float32', ['N', 1]);
  return graph.build();
}

beforeAll(async () => {
  await buildBundle(ROOT, BUNDLE);
  work = await mkdtemp(join(tmpdir(), 'assay-bundle-'));
  dataDir = join(work, 'data');
  await writeFile(join(work, 'double.onnx'), timesModel(2));
});

afterAll(async () => {
  for (const child of running) child.kill('SIGKILL');
  await rm(work, { recursive: true, force: true });
  await rm(BUNDLE, { recursive: true, force: true });
});

describe('the bundle', () => {
  test('trains the example on the first start, registers, scores, and starts again without training', async () => {
    const first = await up();
    expect(first.out()).toMatch(/training the example, flight-delay/);
    const run = JSON.parse(await readFile(join(dataDir, 'run.json'), 'utf8')) as RunFile; // as documented
    expect(run).toMatchObject({
      pid: first.child.pid,
      services: {
        registry: { http: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/) },
        inference: { http: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/) },
        training: { http: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/) },
      },
    });

    const described = await fetch(`${run.services.registry.http}/openapi.json`); // made with what is loaded for it
    expect(await described.json()).toMatchObject({ openapi: '3.1.0', paths: { '/v1/models': expect.anything() } });

    // The line that is printed for a person, as it stands.
    const curl = /-d '(\{.*\})'/.exec(first.out())?.[1] ?? '';
    const { records } = JSON.parse(curl) as { records: unknown[] }; // the body of a request
    const scored = await json('score', 'flight-delay', '--record', JSON.stringify(records[0]));
    expect(scored).toMatchObject({ model: 'flight-delay', version: 1, predictions: [{ outputs: expect.anything() }] });

    const version = await json('register', 'double', 'double.onnx', '--alias', 'champion');
    expect(version).toMatchObject({ modelName: 'double', version: 1 });
    await expect
      .poll(async () => (await assay('score', 'double', '--record', '{"x": 1.5}')).out, { timeout: 20_000 })
      .toMatch(/^PRODUCT.*\n3 /);

    const jobEnds = () => json('audit', '--action', 'job.end');
    await expect.poll(jobEnds, { timeout: 20_000 }).toMatchObject({
      items: [{ principal: 'training', details: { state: 'succeeded', toldBy: '/assay/training' } }],
    });
    expect(await json('audit', 'verify')).toMatchObject({ valid: true });
    const ended = await stop(first);
    expect(ended.code, ended.err).toBe(0);
    expect(existsSync(join(dataDir, 'run.json'))).toBe(false);

    const second = await up('--json');
    await expect.poll(second.out).toMatch(/\n$/);
    expect(JSON.parse(second.out())).toEqual(JSON.parse(await readFile(join(dataDir, 'run.json'), 'utf8')));
    expect(await json('models')).toMatchObject([{ name: 'double' }, { name: 'flight-delay' }]);
    const stopped = await stop(second);
    expect(stopped.code).toBe(0);
    expect(stopped.err).toMatch(/Ready in/);
    expect(stopped.err).not.toMatch(/training the example/);
  });

  test('says in one line that the data folder is in use', async () => {
    const first = await up('--no-example');
    const { code, err } = await start(['up', ...PORTS]).ended;
    expect(code).toBe(3);
    expect(err.split('\n').filter((line) => line.startsWith('assay: '))).toEqual([
      expect.stringMatching(new RegExp(`in use by process ${first.child.pid}`)),
    ]);
    expect(existsSync(join(dataDir, 'run.json'))).toBe(true);
    expect((await stop(first)).code).toBe(0);
  });

  test.each(['registry', 'inference', 'training'])(
    'says in one line that the port of %s is taken, and stops what it had started',
    async (service) => {
      const taken = createServer();
      await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
      const address = taken.address();
      const port = typeof address === 'object' && address !== null ? String(address.port) : '';
      const { code, err } = await start(['up', '--no-example', ...PORTS, `--${service}-port`, port]).ended;
      await new Promise((resolve) => taken.close(resolve));
      expect(code, err).toBe(3);
      expect(err.split('\n').filter((line) => line.startsWith('assay: '))).toEqual([expect.stringContaining(port)]);
      const next = await up('--no-example');
      expect((await stop(next)).code).toBe(0);
    },
  );

  test('takes up where a killed process was', async () => {
    const killed = await up('--no-example');
    expect(await json('models')).toMatchObject([{ name: 'double' }, { name: 'flight-delay' }]);
    killed.child.kill('SIGKILL');
    await killed.ended;
    const left = await assay('models');
    expect(left.code).toBe(3);
    expect(left.err).toMatch(/is gone; start one|is gone\); start one/);
    const next = await up('--no-example');
    await expect
      .poll(async () => (await assay('score', 'double', '--record', '{"x": 4}')).out, { timeout: 20_000 })
      .toMatch(/^PRODUCT.*\n8 /);
    expect(await json('audit', 'verify')).toMatchObject({ valid: true });
    expect((await stop(next)).code).toBe(0);
  });

  test('is ASCII, which V8 holds in half the memory', async () => {
    const scripts = (await Array.fromAsync(glob('{chunks,entries}/*.mjs', { cwd: BUNDLE }))).toSorted();
    expect(scripts.length).toBeGreaterThan(50);
    const isAscii = (script: string) => /^[\0-\x7f]*$/.test(readFileSync(join(BUNDLE, script), 'utf8'));
    expect(scripts.filter((script) => !isAscii(script))).toEqual([]);
  });

  test('serves a file without loading database, broker, cluster, table, TLS or client code', async () => {
    const record = join(work, 'modules.txt');
    const recorder = pathToFileURL(join(ROOT, 'cli', 'src', 'record-modules.mjs')).href;
    const program = start(['serve', 'double=double.onnx', '--http', '0'], { RECORD_MODULES: record }, [
      '--import',
      recorder,
    ]);
    await expect.poll(program.out, { timeout: 20_000 }).toMatch(/Ctrl-C stops/);
    const url = /(http:\/\/[^/]+)\/v1/.exec(program.out())?.[1];
    const answer = await fetch(`${url}/v1/endpoints/double/score`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"records": [{"x": 3}]}',
    });
    expect(await answer.json()).toMatchObject({ predictions: [{ outputs: { product: 6 } }] });
    expect((await stop(program)).code).toBe(0);

    const inputs = JSON.parse(readFileSync(join(BUNDLE, 'meta.json'), 'utf8')) as Record<string, string[]>; // tools/build.ts
    const loaded = readFileSync(record, 'utf8').trim().split('\n');
    const bundled = loaded
      .filter((module) => module.startsWith('file:') && module.includes('bundle-under-test'))
      .map((module) => fileURLToPath(module).slice(BUNDLE.length + 1));
    const sources = bundled.flatMap((file) => inputs[file] ?? []);
    expect(sources).toContain('services/inference/src/service.ts');
    expect(loaded).toContain('NativeModule http');
    const unwanted =
      /node_modules\/(kysely|better-sqlite3|koffi|kafkajs|@duckdb|@kubernetes|undici|@fastify\/swagger)\/|node:sqlite|NativeModule (tls|http2|internal\/deps\/undici\/undici)$|packages\/(database|events|jobs|tables|blobs|kafka)\/|services\/(registry|training|standalone)\//;
    expect([...loaded, ...sources].filter((module) => unwanted.test(module))).toEqual([]);
  });
});
