import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:http2';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createScoringClient } from '@assay/client';
import { float32Tensor, GraphBuilder } from '@assay/onnx';
import { afterEach, describe, expect, test } from 'vitest';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const MAIN = join(import.meta.dirname, 'main.ts');

/** A graph whose one output is its input times `factor`. */
function timesModel(factor: number): Uint8Array {
  const graph = new GraphBuilder();
  const x = graph.input('x', 'float32', ['N', 1]);
  graph.node('Mul', [x, graph.constant(float32Tensor([factor]))], { outputs: ['product'] });
  graph.output('product', 'float32', ['N', 1]);
  return graph.build();
}

async function folder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'assay-serve-test-'));
  cleanups.push(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

interface Program {
  readonly child: ChildProcess;
  readonly ended: Promise<{ code: number | null; out: string; err: string }>;
  /** The first line of standard output; rejects when the program ends before it. */
  readonly firstLine: Promise<string>;
}

function start(args: readonly string[], env: Record<string, string> = {}, nodeArgs: readonly string[] = []): Program {
  const child = spawn(process.execPath, [...nodeArgs, MAIN, ...args], {
    env: { PATH: process.env.PATH, TMPDIR: process.env.TMPDIR, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const firstLine = Promise.withResolvers<string>();
  firstLine.promise.catch(() => undefined); // not every test waits for it
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
    if (out.includes('\n')) firstLine.resolve(out.slice(0, out.indexOf('\n')));
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const ended = new Promise<{ code: number | null; out: string; err: string }>((resolve) => {
    child.once('close', (code) => {
      firstLine.reject(new Error(`ended with ${code}: ${err}`));
      resolve({ code, out, err });
    });
  });
  cleanups.push(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return { child, ended, firstLine: firstLine.promise };
}

async function addressOf({ firstLine }: Program): Promise<string> {
  return (JSON.parse(await firstLine) as { http: string }).http; // what serve prints with --json
}

describe('assay serve', () => {
  test('serves ONNX files by name and the highest version of each model in a folder, then stops cleanly', async () => {
    const dir = await folder();
    await writeFile(join(dir, 'double.onnx'), timesModel(2));
    for (const [version, factor] of [
      ['1', 10],
      ['2', 20],
    ] as const) {
      await mkdir(join(dir, 'models', 'tens', version), { recursive: true });
      await writeFile(join(dir, 'models', 'tens', version, 'model.onnx'), timesModel(factor));
    }
    const program = start(['serve', `two=${join(dir, 'double.onnx')}`, join(dir, 'models'), '--http', '0', '--json']);
    const url = await addressOf(program);
    await using client = createScoringClient({ url });
    const product = async (endpoint: string): Promise<unknown> =>
      (await client.score(endpoint, [{ x: 1.5 }])).predictions[0]?.outputs.product;
    expect([await product('two'), await product('tens')]).toEqual([3, 30]);
    program.child.kill('SIGTERM');
    expect((await program.ended).code).toBe(0);
  });

  test('loads no database, broker, cluster, table, gRPC or client code, and no validator that is not used', async () => {
    const dir = await folder();
    await writeFile(join(dir, 'double.onnx'), timesModel(2));
    const record = join(dir, 'modules.txt');
    const recorder = pathToFileURL(join(import.meta.dirname, 'record-modules.mjs')).href;
    const program = start(
      ['serve', `two=${join(dir, 'double.onnx')}`, '--http', '0', '--json'],
      { RECORD_MODULES: record },
      ['--import', recorder],
    );
    await using client = createScoringClient({ url: await addressOf(program) });
    await client.score('two', [{ x: 1 }]);
    program.child.kill('SIGTERM');
    await program.ended;
    const modules = (await readFile(record, 'utf8')).trim().split('\n');
    expect(modules.some((module) => module.includes('onnxruntime'))).toBe(true);
    expect(modules.some((module) => module.endsWith('services/inference/src/service.ts'))).toBe(true);
    const unwanted =
      /kysely|better-sqlite3|node:sqlite|duckdb|kafkajs|kubernetes|koffi|@bufbuild|node_modules\/(undici|ajv|@fastify\/swagger)\/|inference\/src\/grpc\/(?!metrics\.ts)|packages\/(database|events|jobs|tables|blobs)\/|services\/(registry|training|standalone)\//;
    expect(modules.filter((module) => unwanted.test(module))).toEqual([]);
  });

  test('listens for gRPC where it is asked to', async () => {
    const dir = await folder();
    await writeFile(join(dir, 'double.onnx'), timesModel(2));
    const args = ['serve', `two=${join(dir, 'double.onnx')}`, '--http', '0', '--grpc-port', '0', '--json'];
    const program = start(args);
    const { grpc } = JSON.parse(await program.firstLine) as { grpc: string }; // what serve prints with --json
    const session = connect(`http://${grpc}`);
    cleanups.push(async () => session.destroy());
    const stream = session.request({
      ':method': 'POST',
      ':path': '/inference.GRPCInferenceService/ServerReady',
      'content-type': 'application/grpc',
    });
    stream.end(Buffer.alloc(5)); // an empty message
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer); // no encoding is set
    expect(Buffer.concat(chunks)).toEqual(Buffer.from([0, 0, 0, 0, 2, 0x08, 1]));
    session.close();
    program.child.kill('SIGTERM');
    expect((await program.ended).code).toBe(0);
  });

  test('removes what it made when it stops', async () => {
    const dir = await folder();
    const tmp = join(dir, 'tmp');
    await mkdir(tmp);
    await writeFile(join(dir, 'double.onnx'), timesModel(2));
    const program = start(['serve', `two=${join(dir, 'double.onnx')}`, '--http', '0', '--json'], { TMPDIR: tmp });
    await addressOf(program);
    expect((await readdir(tmp)).some((name) => name.startsWith('assay-serve-'))).toBe(true);
    program.child.kill('SIGINT');
    expect((await program.ended).code).toBe(0);
    expect((await readdir(tmp)).filter((name) => name.startsWith('assay-serve-'))).toEqual([]);
  });

  test('says in one line that a port is taken', async () => {
    const dir = await folder();
    await writeFile(join(dir, 'double.onnx'), timesModel(2));
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    cleanups.push(() => new Promise((resolve) => taken.close(resolve)));
    const address = taken.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const { code, err } = await start(['serve', `two=${join(dir, 'double.onnx')}`, '--http', String(port)]).ended;
    const lines = err.split('\n').filter((line) => line.startsWith('assay: '));
    expect(code).toBe(3);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(String(port));
  });

  test.each([
    ['a file that is not there', 'two=missing.onnx', 2, /missing\.onnx/],
    ['a file that is no ONNX', 'two=broken.onnx', 4, /broken\.onnx/],
    ['a name without a file', 'two=', 2, /"two=" is not NAME=FILE/],
    ['an empty folder', 'empty', 2, /empty/],
  ])('refuses %s', async (_, argument, code, message) => {
    const dir = await folder();
    await writeFile(join(dir, 'broken.onnx'), 'this is not a protobuf message');
    await mkdir(join(dir, 'empty'));
    const args = ['serve', argument.replace(/(^|=)(missing|broken|empty)/, `$1${dir}/$2`), '--http', '0'];
    const ended = await start(args).ended;
    expect(ended.err).toMatch(message);
    expect(ended.err.split('\n').filter((line) => line.startsWith('assay: '))).toHaveLength(1);
    expect(ended.code).toBe(code);
  });
});
