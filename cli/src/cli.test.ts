import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Job, type Model, TrainingSpec, type Version } from '@assay/contracts';
import { parseYaml } from '@assay/runtime';
import { afterEach, describe, expect, test } from 'vitest';
import { assay, fakeServices, notFound } from './fake-services.ts';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function services(routes: Parameters<typeof fakeServices>[0]) {
  const made = await fakeServices(routes);
  cleanups.push(() => made.close());
  return made;
}

async function folder(files: Record<string, string> = {}): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'assay-cli-'));
  cleanups.push(() => rm(dir, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text);
  return dir;
}

const model: Model = {
  id: 'mdl_1',
  name: 'flight-delay',
  description: '',
  revision: 3,
  latestVersion: 2,
  aliases: { champion: 1 },
  createdAt: 0,
  updatedAt: 0,
};
const digest = 'a'.repeat(64);
const version: Version = {
  id: 'ver_2',
  modelId: 'mdl_1',
  modelName: 'flight-delay',
  version: 2,
  digest,
  files: [],
  signature: {
    features: [{ name: 'distance', dtype: 'float64', shape: [], nullable: false }],
    outputs: [{ name: 'label', dtype: 'int64', shape: [] }],
  },
  metrics: { auc: 0.69301 },
  aliases: [],
  description: '',
  tags: {},
  createdAt: 0,
  createdBy: 'local',
};
const scored = {
  model: 'flight-delay',
  version: 1,
  versionId: 'ver_1',
  digest,
  routingRevision: 1,
  predictions: [{ id: 'prd_1', outputs: { label: 1, probability: 0.25 } }],
};

describe('a mistake', () => {
  test('in a command is answered with the nearest one', async () => {
    const { code, err } = await assay(['modles']);
    expect(code).toBe(2);
    expect(err).toMatch(/unknown command 'modles'\s+\(Did you mean models\?\)/);
  });

  test('in an option is answered with the nearest one', async () => {
    const { code, err } = await assay(['train', 'spec.yaml', '--detatch']);
    expect(code).toBe(2);
    expect(err).toMatch(/unknown option '--detatch'\s+\(Did you mean --detach\?\)/);
  });

  test.each([['x'], ['65536'], ['-1'], ['80.5']])('in a port is refused: %s', async (text) => {
    const { code, err } = await assay(['serve', 'a=b.onnx', `--http=${text}`]);
    expect(code).toBe(2);
    expect(err).toContain('a port is a number from 0 to 65535');
  });

  test('in the name of an endpoint is answered with the nearest one', async () => {
    const { url } = await services({
      'POST /v1/endpoints/flight-dely/score': [404, notFound('endpoint flight-dely')],
      'GET /v1/endpoints': [
        200,
        { items: ['flight-delay', 'churn'].map((name) => ({ name, revision: 1, wantedRevision: 1 })) },
      ],
    });
    const { code, err } = await assay(['score', 'flight-dely', '--record', '{}', '--inference', url]);
    expect(code).toBe(4);
    expect(err).toBe('assay: there is no endpoint "flight-dely"; did you mean "flight-delay"?\n');
  });

  test('in the name of a model is answered with the nearest one', async () => {
    const { url } = await services({ 'GET /v1/models': [200, { items: [model] }] });
    const { code, err } = await assay(['models', 'flight_delay', '--registry', url]);
    expect(code).toBe(4);
    expect(err).toBe('assay: there is no model "flight_delay"; did you mean "flight-delay"?\n');
  });

  test('in the name of a spec is answered without the words of the system', async () => {
    const dir = await folder({ 'file.yaml': '' });
    for (const command of ['train', 'batch']) {
      const run = (path: string) =>
        assay([command, path, `--${command === 'train' ? 'training' : 'batch'}`, 'http://127.0.0.1:9'], { cwd: dir });
      for (const path of ['nothing.yaml', 'file.yaml/spec.yaml']) {
        expect(await run(path)).toMatchObject({ code: 2, err: `assay: there is no spec ${path}\n` });
      }
    }
  });

  test('in a spec is answered with its line and the nearest key, before anything is asked', async () => {
    const dir = await folder({ 'spec.yaml': 'model: m\nsorce:\n  path: a.csv\n' });
    const { code, err } = await assay(['train', 'spec.yaml', '--training', 'http://127.0.0.1:9'], { cwd: dir });
    expect(code).toBe(2);
    expect(err).toContain('spec.yaml:2');
    expect(err).toContain('did you mean "source"?');
  });

  test('in a record is answered with the place', async () => {
    const details = [
      { place: 'records[0].distance', message: 'is required' },
      { place: 'records[0].distanse', message: 'unknown feature; did you mean "distance"?' },
    ];
    const error = { code: 'INVALID_ARGUMENT', message: 'records[0].distance: is required (and 1 more)', details };
    const { url } = await services({
      'POST /v1/endpoints/m/score': [400, { error: { ...error, requestId: 'r', retryable: false } }],
    });
    const { code, err } = await assay(['score', 'm', '--record', '{"distanse": 3}', '--inference', url]);
    expect(code).toBe(2);
    expect(err.split('\n')).toEqual([
      'assay: records[0].distance: is required (and 1 more)',
      '  records[0].distance: is required',
      '  records[0].distanse: unknown feature; did you mean "distance"?',
      '',
    ]);
  });

  test('is a JSON document for a program that asked for JSON', async () => {
    const { url } = await services({ 'GET /v1/models': [200, { items: [] }] });
    const { code, err, out } = await assay(['models', 'nothing', '--json', '--registry', url]);
    expect(code).toBe(4);
    expect(out).toBe('');
    expect(JSON.parse(err)).toMatchObject({ error: { code: 'NOT_FOUND', retryable: false } });
  });
});

describe('where the services are', () => {
  test('is said by the run file of the data folder', async () => {
    const { url } = await services({ 'GET /v1/models': [200, { items: [model] }] });
    const run = { pid: process.pid, version: '0.1.0', services: { registry: { http: url } } };
    const dir = await folder({ 'run.json': JSON.stringify(run) });
    const { code, out } = await assay(['models'], { env: { ASSAY_DATA_DIR: dir } });
    expect(code).toBe(0);
    expect(out).toContain('flight-delay');
    const other = await assay(['jobs', '--data-dir', dir]);
    expect(other.code).toBe(3);
    expect(other.err).toContain('has no training');
  });

  test('is not believed of a process that is gone', async () => {
    const run = { pid: 2 ** 22 + 1, version: '0.1.0', services: {} };
    const dir = await folder({ 'run.json': JSON.stringify(run) });
    const { code, err } = await assay(['models', '--data-dir', dir]);
    expect(code).toBe(3);
    expect(err).toMatch(/process 4194305 .* is gone\); start one with `assay up`/);
  });

  test('is asked for when nothing runs', async () => {
    const dir = await folder();
    const { code, err } = await assay(['score', 'm', '--record', '{}', '--data-dir', dir]);
    expect(code).toBe(3);
    expect(err).toContain('start one with `assay up`');
  });
});

describe('assay score', () => {
  test('prints the outputs of each record', async () => {
    const { url, requests } = await services({ 'POST /v1/endpoints/m/score': [200, scored] });
    const { code, out } = await assay(['score', 'm', '--record', '{"distance": 9007199254740993}', '--inference', url]);
    expect(code).toBe(0);
    expect(out).toBe('LABEL  PROBABILITY  ID\n1      0.25         prd_1\n(flight-delay version 1)\n');
    expect(requests.map(({ line }) => line)).toEqual(['POST /v1/endpoints/m/score']);
  });

  test.each([
    ['an array', '[{"a": 1}, {"a": 2}]'],
    ['the body of a request', '{"records": [{"a": 1}, {"a": 2}]}'],
    ['an object a line', '{"a": 1}\n{"a": 2}\n'],
    ['an array over several lines', '[\n{"a": 1},\n{"a": 2}\n]\n'],
  ])('reads a file of records: %s', async (_, text) => {
    const { url, requests } = await services({ 'POST /v1/endpoints/m/score': [200, scored] });
    const dir = await folder({ 'records.json': text });
    const fromFile = await assay(['score', 'm', '--records', 'records.json', '--inference', url], { cwd: dir });
    const fromStdin = await assay(['score', 'm', '--records', '-', '--json', '--inference', url], {
      readStdin: async () => text,
    });
    expect([fromFile.code, fromStdin.code]).toEqual([0, 0]);
    expect(JSON.parse(fromStdin.out)).toEqual(scored);
    for (const { body } of requests) expect(body).toEqual({ records: [{ a: 1 }, { a: 2 }] });
  });

  test('names the line of a file that is not JSON', async () => {
    const { code, err } = await assay(['score', 'm', '--records', '-', '--inference', 'http://127.0.0.1:9'], {
      readStdin: async () => '{"a": 1}\n{"a": }\n',
    });
    expect(code).toBe(2);
    expect(err).toContain('standard input:2 is not JSON');
  });

  test('asks for records where there are none', async () => {
    const { code, err } = await assay(['score', 'm', '--inference', 'http://127.0.0.1:9']);
    expect(code).toBe(2);
    expect(err).toContain('--record');
  });
});

describe('assay register', () => {
  const routes = {
    'POST /v1/models': [
      409,
      { error: { code: 'ALREADY_EXISTS', message: 'it is there', details: [], requestId: 'r', retryable: false } },
    ],
    'POST /v1/models/flight-delay/versions': [201, version],
    'GET /v1/models/flight-delay': [200, model],
    'GET /v1/models/flight-delay/aliases/champion': [
      200,
      {
        modelId: 'mdl_1',
        modelName: 'flight-delay',
        alias: 'champion',
        versionId: 'ver_1',
        version: 1,
        revision: 7,
        movedAt: 0,
        movedBy: 'local',
      },
    ],
    'PUT /v1/models/flight-delay/aliases/champion': [
      200,
      {
        modelId: 'mdl_1',
        modelName: 'flight-delay',
        alias: 'champion',
        versionId: 'ver_2',
        version: 2,
        revision: 8,
        movedAt: 0,
        movedBy: 'local',
      },
    ],
  } as const;

  test('uploads the files of a package and moves the alias from where it was', async () => {
    const dir = await folder({ 'assay.json': '{}', 'model.onnx': 'bytes' });
    const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
    const { url, requests } = await services({
      ...routes,
      [`HEAD /v1/blobs/${sha256('{}')}`]: [200, {}],
      [`PUT /v1/blobs/${sha256('bytes')}`]: [201, {}],
    });
    const args = ['register', 'flight-delay', '.', '--alias', 'champion', '--registry', url];
    const { code, out, err } = await assay(args, { cwd: dir });
    expect(err).toBe('');
    expect(code).toBe(0);
    expect(out).toContain('distance:float64');
    const bodies = new Map(requests.map(({ line, body }) => [line, body]));
    expect(bodies.get('POST /v1/models/flight-delay/versions')).toMatchObject({
      files: [
        { path: 'assay.json', sha256: sha256('{}'), sizeBytes: 2 },
        { path: 'model.onnx', sha256: sha256('bytes'), sizeBytes: 5 },
      ],
    });
    expect(bodies.get('PUT /v1/models/flight-delay/aliases/champion')).toEqual({
      version: 'ver_2',
      expectedRevision: 7,
    });
  });

  test('refuses a folder that holds no model', async () => {
    const dir = await folder({ 'notes.txt': 'nothing' });
    const { code, err } = await assay(['register', 'm', dir, '--registry', 'http://127.0.0.1:9']);
    expect(code).toBe(2);
    expect(err).toContain('holds neither assay.json (a package) nor model.onnx');
  });

  test('refuses what is neither an ONNX file nor a folder', async () => {
    const dir = await folder({ 'model.pkl': 'bytes' });
    const missing = await assay(['register', 'm', 'nothing.onnx', '--registry', 'http://127.0.0.1:9'], { cwd: dir });
    const pickle = await assay(['register', 'm', 'model.pkl', '--registry', 'http://127.0.0.1:9'], { cwd: dir });
    expect([missing.code, pickle.code]).toEqual([2, 2]);
    expect(missing.err).toBe('assay: there is no file or folder nothing.onnx\n');
    expect(pickle.err).toContain('model.pkl is not an .onnx file');
  });
});

describe('assay train', () => {
  const spec = `
model: flight-delay
source: { path: flights.csv }
target: { name: late, expression: delay > 15 }
features: [{ name: distance, dtype: float64 }]
split: { by: random, validation: 0.1, test: 0.1 }
trainer: { name: lightgbm }
`;
  const job: Omit<Job, 'state' | 'revision' | 'spec'> = {
    id: 'job_1',
    kind: 'training',
    baseDir: '/',
    attempts: 1,
    progress: { stage: 'train', percent: 100 },
    dataset: null,
    result: null,
    failure: null,
    createdAt: 0,
    startedAt: 0,
    endedAt: 0,
  };
  const result = {
    modelName: 'flight-delay',
    version: 3,
    versionId: 'ver_3',
    digest,
    metrics: { auc: 0.7 },
    baseline: { auc: 0.5 },
  };

  async function train(ended: Partial<Job>, ...more: string[]) {
    const dir = await folder({ 'spec.yaml': spec });
    let sent: unknown;
    const { url } = await services({
      'POST /v1/jobs': (body) => {
        sent = body;
        const { spec: parsed } = body as { spec: Job['spec'] }; // the route of this test
        return [201, { ...job, spec: parsed, state: 'queued', revision: 1 }];
      },
      'GET /v1/jobs/job_1': () => [200, { ...job, spec: (sent as { spec: Job['spec'] }).spec, revision: 2, ...ended }],
    });
    return { ...(await assay(['train', 'spec.yaml', '--training', url, ...more], { cwd: dir })), sent, dir };
  }

  test('follows the job and prints what came out beside the baseline', async () => {
    const { code, out, sent, dir } = await train({ state: 'succeeded', result });
    expect(code).toBe(0);
    expect(out).toMatch(/version +3\n.*auc +0\.7 \(baseline 0\.5\)/s);
    expect(sent).toMatchObject({ baseDir: dir, spec: { model: 'flight-delay' } });
  });

  test('by the name of a spec makes a job that tells the revision it was made from', async () => {
    const specSource = { name: 'nightly', revision: 3, specSha256: digest };
    const made = { ...job, spec: parseYaml(TrainingSpec, spec, 'spec.yaml'), specSource, state: 'queued', revision: 1 };
    const { url, requests } = await services({ 'POST /v1/jobs': [201, made], 'GET /v1/jobs/job_1': [200, made] });
    expect(await assay(['train', '--spec', 'nightly', '--detach', '--training', url])).toMatchObject({
      out: 'job_1\n',
    });
    expect(requests).toMatchObject([{ line: 'POST /v1/jobs', body: { spec: { name: 'nightly' } } }]);
    expect((await assay(['jobs', 'job_1', '--training', url])).out).toMatch(/^spec +nightly, revision 3$/m);
    const { out } = await assay(['jobs', 'job_1', '--json', '--training', url]);
    expect(JSON.parse(out)).toMatchObject({ specSource });
  });

  test.each([
    ['data', 2],
    ['lost', 3],
    ['crash', 1],
  ] as const)('ends with a code that tells why it failed: %s is %i', async (kind, expected) => {
    const { code, err } = await train({
      state: 'failed',
      failure: { kind, message: 'flights.csv:7: 3 columns', retryable: false },
    });
    expect(code).toBe(expected);
    expect(err).toContain('flights.csv:7: 3 columns');
    expect(err).toContain('assay jobs job_1 --logs');
  });

  test('only starts the job with --detach', async () => {
    const { code, out } = await train({ state: 'running' }, '--detach');
    expect([code, out]).toEqual([0, 'job_1\n']);
  });
});

describe('assay audit verify', () => {
  test('says that the chain holds', async () => {
    const { url } = await services({ 'GET /v1/audit/verify': [200, { valid: true, entries: 12, headHash: digest }] });
    const { code, out } = await assay(['audit', 'verify', '--registry', url]);
    expect(code).toBe(0);
    expect(out).toContain('12 entries');
  });

  test('fails where it is broken, and says where', async () => {
    const broken = {
      valid: false,
      entries: 4,
      headHash: digest,
      firstBadSequence: 5,
      reason: 'the hash does not match',
    };
    const { url } = await services({ 'GET /v1/audit/verify': [200, broken] });
    const { code, err } = await assay(['audit', 'verify', '--registry', url]);
    expect(code).toBe(4);
    expect(err).toBe('assay: the audit chain is broken at entry 5: the hash does not match\n');
    const asJson = await assay(['audit', 'verify', '--json', '--registry', url]);
    expect(asJson.code).toBe(4);
    expect(JSON.parse(asJson.out)).toEqual(broken);
  });
});
