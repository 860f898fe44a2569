import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type BatchJob, type DatasetVersion, ERRORS_SUFFIX } from '@assay/contracts';
import { float32Tensor, GraphBuilder } from '@assay/onnx';
import { entryUrl, nodeArguments } from '@assay/runtime';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { assay as run } from '../fake-services.ts';

const opened = new AsyncDisposableStack();
let dir: string;
let targets: readonly string[];

/** A service as a process of its own, on a data folder that all of them share. */
async function start(service: 'registry' | 'batch' | 'monitoring', env: Record<string, string> = {}): Promise<string> {
  const entry = fileURLToPath(entryUrl(`services/${service}`, service));
  const child = spawn(process.execPath, [...nodeArguments(), entry], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: process.env.PATH,
      ASSAY_DATA_DIR: join(dir, 'data'),
      ASSAY_LOG_LEVEL: 'silent',
      [`ASSAY_${service.toUpperCase()}_PORT`]: '0',
      ...env,
    },
  });
  opened.defer(async () => {
    const ended = new Promise((resolve) => child.once('close', resolve));
    child.kill('SIGTERM');
    await ended;
  });
  const line = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve);
    child.once('exit', () => reject(new Error(`${service} ended before it listened`)));
  });
  return /http:\S+/.exec(line)?.[0] ?? '';
}

/** A graph whose one output is its input times 3. */
function timesModel(): Uint8Array {
  const graph = new GraphBuilder();
  const x = graph.input('x', 'float32', ['N', 1]);
  graph.node('Mul', [x, graph.constant(float32Tensor([3]))], { outputs: ['product'] });
  graph.output('product', 'float32', ['N', 1]);
  return graph.build();
}

const assay = (...args: string[]) => {
  const given = args[0] === 'batch' ? ['--batch', targets[1] ?? ''] : ['--registry', targets[0] ?? ''];
  return run([...args, ...given], { cwd: dir });
};

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'assay-batch-cli-'));
  opened.defer(() => rm(dir, { recursive: true, force: true }));
  const registry = await start('registry');
  const env = { ASSAY_REGISTRY_URL: registry };
  targets = [registry, await start('batch', env), await start('monitoring', env)];
  await writeFile(join(dir, 'times.onnx'), timesModel());
  expect((await assay('register', 'times', 'times.onnx', '--alias', 'champion')).err).toBe('');
  await writeFile(join(dir, 'rows.csv'), `x,note\n1,a\n2.5,b\nmany,c\n-4,d\n`);
}, 60_000);
afterAll(() => opened.disposeAsync());

describe('assay batch', () => {
  test('scores a file into a folder, tells how far it is, and what came of it', async () => {
    const { code, out, err } = await assay(
      'batch',
      'times',
      '--input',
      'rows.csv',
      '--output',
      'scored',
      '--format',
      'csv',
      '--column',
      'note',
    );
    expect(code).toBe(0);
    expect(err).toMatch(/^scoring rows.csv with times, job job_\S+\n/);
    expect(err).toMatch(/\n {2}score /);
    expect(out).toMatch(
      /^model +times\nversion +1\nrows +4\nscored +3\nfailed +1 \(errors-\*\.ndjson says why\)\nfolder +/,
    );
    const lines = (await readFile(join(dir, 'scored', 'results-00000.csv'), 'utf8')).trim().split('\n');
    expect(lines.map((line) => line.split(',').slice(3).join())).toEqual([
      'row,product,note',
      '1,3.0,a',
      '2,7.5,b',
      '4,-12.0,d',
    ]);
  });

  test('reads and writes datasets of the registry, and names them in the versions that it makes', async () => {
    const added: DatasetVersion = JSON.parse((await assay('datasets', 'add', 'rows', 'rows.csv', '--json')).out);
    const { code, out } = await assay('batch', 'times', '--input', 'dataset:rows', '--output', 'dataset:products');
    expect(code).toBe(0);
    expect(out).toMatch(/\nfailed +1 \(dataset products-errors version 1 says why\)\ndataset +products version 1\n/);
    const again = await assay('batch', 'times', '--input', 'dataset:rows@1', '--output', 'dataset:products');
    expect(again.out).toMatch(/\ndataset +products version 2\n/);
    const made: DatasetVersion = JSON.parse((await assay('datasets', 'show', 'products', '--json')).out);
    expect(made).toMatchObject({ rows: 3, format: 'parquet', layer: 'processed', parents: [added.id] });
    const target = join(dir, 'fetched');
    expect((await assay('datasets', 'get', `products${ERRORS_SUFFIX}`, '--to', target)).code).toBe(0);
    expect(await readdir(target)).toEqual(['errors-00000.ndjson']);
    const text = await readFile(join(target, 'errors-00000.ndjson'), 'utf8');
    expect(JSON.parse(text)).toMatchObject({ file: 'rows.csv', row: 3, place: 'x' });
  }, 60_000);

  test('logs predictions where the spec says so: they are found, and replayed with the same bits', async () => {
    const spec = 'model: times\ninput:\n  path: rows.csv\noutput:\n  path: logged\n  format: csv\nlog:\n  ratio: 1\n';
    await writeFile(join(dir, 'logged.yaml'), spec);
    const { code, out } = await assay('batch', 'logged.yaml');
    expect(code).toBe(0);
    expect(out).toMatch(/\nlogged +3\n/);
    const [, first = ''] = (await readFile(join(dir, 'logged', 'results-00000.csv'), 'utf8')).split('\n');
    const [id = ''] = first.split(',');
    const monitoring = ['--monitoring', targets[2] ?? ''];
    const found = await vi.waitFor(
      async () => {
        const got = await run(['predictions', 'get', id, '--json', ...monitoring], { cwd: dir });
        expect(got.code).toBe(0);
        return JSON.parse(got.out);
      },
      { timeout: 20_000 },
    );
    expect(found).toMatchObject({ id, door: 'batch', modelName: 'times', record: { x: 1 }, outputs: { product: 3 } });
    const replay = await run(['replay', id, ...monitoring], { cwd: dir });
    expect([replay.code, replay.err]).toEqual([0, '']);
  }, 60_000);

  test('says what is wrong in plain words, with the exit code of a wrong call', async () => {
    const folder = join(dir, 'never');
    const failed = async (...args: string[]) => {
      const { code, out, err } = await assay('batch', ...args);
      expect([code, out]).toEqual([2, '']);
      return err;
    };
    expect(await failed('missing.yaml')).toBe('assay: there is no spec missing.yaml\n');
    expect(await failed('times', '--input', 'rows.csv')).toContain(
      'assay batch times needs --output FOLDER (or dataset:NAME)',
    );
    expect(await failed('times', '--input', 'rows.csv', '--output', folder, '--select', 'x')).toContain(
      'expected FEATURE=SQL',
    );
    expect(await failed('times', '--input', 'rows.csv', '--output', 'dataset:a@2')).toContain(
      'its next version is made',
    );
    await writeFile(
      join(dir, 'wrong.yaml'),
      'model: times\ninput: {path: rows.csv, dataset: rows}\noutput: {path: o}\n',
    );
    expect(await failed('wrong.yaml')).toContain('wrong.yaml:2');
    expect(await failed('times', '--input', 'no.csv', '--output', folder)).toMatch(
      /\(configuration\): input\.path: .*no\.csv/,
    );
    expect(await failed('times', '--input', 'dataset:nothing', '--output', folder)).toContain(
      'the registry has no dataset nothing',
    );
    expect(await failed('times', '--input', 'rows.csv', '--output', folder, '--max-errors', '0')).toMatch(
      /\(data\): more than 0 rows failed/,
    );
  }, 60_000);

  test('with --detach only begins, and with --json prints the job', async () => {
    const { code, out } = await assay(
      'batch',
      'times',
      '--input',
      'rows.csv',
      '--output',
      'later',
      '--detach',
      '--json',
    );
    expect(code).toBe(0);
    const job: BatchJob = JSON.parse(out);
    expect(job).toMatchObject({ kind: 'batch', state: 'queued', spec: { model: 'times' } });
  });

  test('without a service that answers is an unavailable one', async () => {
    const { code, err } = await run(
      ['batch', 'times', '--input', 'rows.csv', '--output', 'o', '--batch', 'http://127.0.0.1:9'],
      { cwd: dir },
    );
    expect(code).toBe(3);
    expect(err).toContain('batch service');
  });
});
