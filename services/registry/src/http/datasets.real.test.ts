import { readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type {
  AuditEntry,
  AuditVerification,
  CreateDatasetVersion,
  Dataset,
  DatasetVersion,
  DatasetVersionSummary,
  ErrorBody,
  Event,
  Page,
} from '@assay/contracts';
import { TOPICS } from '@assay/contracts';
import { openDatabaseEventBus } from '@assay/events';
import { createLogger } from '@assay/runtime';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startKeyedRegistry } from '../keys-under-test.ts';
import { type Answer, type RegistryUnderTest, sha256Of, startRegistry } from '../registry-under-test.ts';

let registry: RegistryUnderTest;
beforeAll(async () => {
  registry = await startRegistry();
});
afterAll(() => registry[Symbol.asyncDispose]());

/** A CSV table of one file whose one row is `text`. */
function tableOf(text: string): { bytes: Uint8Array; body: CreateDatasetVersion } {
  const bytes = Buffer.from(`a,b\n1,${text}\n`);
  const body: CreateDatasetVersion = {
    format: 'csv',
    files: [{ name: 'part-0.csv', sha256: sha256Of(bytes), sizeBytes: bytes.length }],
    rows: 1,
    schema: [
      { name: 'a', type: 'BIGINT', nullable: false },
      { name: 'b', type: 'VARCHAR', nullable: true },
    ],
  };
  return { bytes, body };
}

const post = <T = DatasetVersion>(name: string, body: unknown): Promise<Answer<T>> =>
  registry.call<T>('POST', `/v1/datasets/${name}/versions`, body);

async function register(name: string, text: string, more: Partial<CreateDatasetVersion> = {}) {
  const { bytes, body } = tableOf(text);
  await registry.put(bytes);
  return post(name, { ...body, ...more });
}

describe('registering a dataset version', () => {
  it('makes the dataset, and gives numbers, ids, digests and what was said', async () => {
    const about: Partial<CreateDatasetVersion> = {
      layer: 'cleaned',
      source: 'the reservation system',
      owner: 'data@example.com',
      licence: 'internal',
      knownBias: 'no cancelled flights',
      personalData: ['b'],
      description: 'a row a booking',
    };
    const profile: CreateDatasetVersion['profile'] = [
      { name: 'b', dtype: 'string', count: 1, missing: 0, distinct: 1 },
    ];
    const one = await register('first', 'x', { ...about, profile });
    expect(one.status).toBe(201);
    expect(one.headers.get('location')).toBe('/v1/datasets/first/versions/1');
    expect(one.body).toMatchObject({
      ...{ datasetName: 'first', version: 1, format: 'csv', rows: 1, fileCount: 1, columnCount: 2, sizeBytes: 8 },
      ...about,
      ...{ profile, parents: [], changes: '', createdBy: 'local', id: expect.stringMatching(/^ds_/) },
    });
    const two = (await register('first', 'y', { changes: 'y for x', parents: [one.body.id] })).body;
    expect(two).toMatchObject({ version: 2, layer: 'raw', parents: [one.body.id], datasetId: one.body.datasetId });
    expect(two.digest).not.toBe(one.body.digest);

    const read = async <T>(path: string) => (await registry.call<T>('GET', path)).body;
    expect(await read('/v1/datasets/first/versions/1')).toEqual(one.body);
    expect(await read('/v1/datasets/first/versions/latest')).toEqual(two);
    expect(await read(`/v1/dataset-versions/${two.id}`)).toEqual(two);
    const { files: _, schema: __, ...summary } = two;
    expect(await read<Dataset>('/v1/datasets/first')).toMatchObject({ latestVersion: 2, latest: summary });
  });

  it('takes files in any order, and gives them by name', async () => {
    const parts = ['b', 'a'].map((name) => ({ name: `${name}.csv`, bytes: Buffer.from(`a,b\n1,${name}\n`) }));
    for (const { bytes } of parts) await registry.put(bytes);
    const files = parts.map(({ name, bytes }) => ({ name, sha256: sha256Of(bytes), sizeBytes: bytes.length }));
    const { body } = await post('unsorted', { ...tableOf('').body, files, rows: 2 });
    expect(body.files.map(({ name }) => name)).toEqual(['a.csv', 'b.csv']);
  });

  it('gives consecutive numbers to 8 callers that register 20 each at once', async () => {
    const texts = Array.from({ length: 160 }, (_, i) => `row ${i}`);
    for (const text of texts) await registry.put(tableOf(text).bytes);
    const callers = Array.from({ length: 8 }, (_, caller) => texts.slice(caller * 20, caller * 20 + 20));
    const answers = await Promise.all(
      callers.map(async (own) => {
        const made: Answer<DatasetVersion>[] = [];
        for (const text of own) made.push(await post('busy', { ...tableOf(text).body, changes: text }));
        return made;
      }),
    );
    const made = answers.flat();
    expect(new Set(made.map(({ status }) => status))).toEqual(new Set([201]));
    expect(made.map(({ body }) => body.version).sort((a, b) => a - b)).toEqual(texts.map((_, i) => i + 1));
    expect(new Set(made.map(({ body }) => body.id)).size).toBe(160);
    const { body: dataset } = await registry.call<Dataset>('GET', '/v1/datasets/busy');
    expect(dataset.latestVersion).toBe(160);
  });

  it('gives one version to many that register the same at once', async () => {
    const { bytes, body } = tableOf('the same');
    await registry.put(bytes);
    const answers = await Promise.all(Array.from({ length: 10 }, () => post('same', body)));
    expect(answers.map(({ status }) => status).sort()).toEqual([...Array(9).fill(200), 201]);
    expect(new Set(answers.map(({ body: version }) => version.id)).size).toBe(1);
  });
});

describe('registering again', () => {
  it('the newest table, of which nothing else is said, gives that version', async () => {
    const one = await register('again', 'x', { owner: 'data team' });
    const again = await register('again', 'x', { changes: 'none' });
    expect([again.status, again.body]).toEqual([200, one.body]);
  });

  it('the newest table, of which something else is said, gives the next version', async () => {
    await register('said', 'x', { owner: 'data team' });
    const silent = await register('said', 'x', { owner: 'another team' });
    expect(silent).toMatchObject({
      status: 400,
      body: { error: { message: expect.stringContaining('with another owner'), details: [{ place: 'changes' }] } },
    });
    const next = await register('said', 'x', { owner: 'another team', changes: 'another owner' });
    expect([next.status, next.body.version, next.body.owner]).toEqual([201, 2, 'another team']);
  });

  it('with an idempotency key gives its version for good, whether it made it or found it', async () => {
    const made = await register('key', 'x', { idempotencyKey: 'made' });
    const found = await register('key', 'x', { idempotencyKey: 'found' });
    expect([made.status, found.status, found.body.id]).toEqual([201, 200, made.body.id]);
    await register('key', 'y', { changes: 'y for x' });
    for (const idempotencyKey of ['made', 'found']) {
      const again = await register('key', 'x', { idempotencyKey });
      expect([again.status, again.body.id]).toEqual([200, made.body.id]);
    }
    const other = await register('key', 'z', { idempotencyKey: 'made', changes: 'z for y' });
    expect(other).toMatchObject({ status: 409, body: { error: { code: 'ALREADY_EXISTS' } } });
    expect((await registry.call<Dataset>('GET', '/v1/datasets/key')).body.latestVersion).toBe(2);
  });

  it('an older table is a version of its own: it is the newest again', async () => {
    const one = await register('back', 'x');
    await register('back', 'y', { changes: 'y for x' });
    const three = await register('back', 'x', { changes: 'x again' });
    expect([three.status, three.body.version, three.body.digest]).toEqual([201, 3, one.body.digest]);
  });
});

describe('a registration that is refused', () => {
  const good = tableOf('good');
  const [file] = good.body.files;
  const refused = (more: Record<string, unknown>) => post<ErrorBody>('refused', { ...good.body, ...more });
  const withName = (name: string) => ({ files: [{ ...file, name }] });
  beforeAll(async () => {
    await registry.put(good.bytes);
  });
  afterAll(async () => {
    // None of these made anything.
    expect((await registry.fails('GET', '/v1/datasets/refused')).status).toBe(404);
  });

  it.each([
    '../x.csv',
    'a/b.csv',
    '/etc/passwd',
    '.hidden',
    '..',
    '',
    'a\\b.csv',
    'a*.csv',
    'ä.csv',
    'x'.repeat(201),
    '-rf',
  ])('has a file name that leads elsewhere: %j', async (name) => {
    const { status, body } = await refused(withName(name));
    expect([status, body.error.details[0]?.place]).toEqual([400, 'files[0].name']);
  });

  it.each([
    ['no files', { files: [] }, 'files'],
    ['more files than there may be', { files: Array(10_001).fill(file) }, 'files'],
    ['no columns', { schema: [] }, 'schema'],
    ['an empty file', { files: [{ ...file, sizeBytes: 0 }] }, 'files[0].sizeBytes'],
    ['a size beyond counting', { files: [{ ...file, sizeBytes: 2 ** 53 }] }, 'files[0].sizeBytes'],
    ['a digest that is none', { files: [{ ...file, sha256: 'ABC' }] }, 'files[0].sha256'],
    ['rows below none', { rows: -1 }, 'rows'],
    ['a format that is none', { format: 'xlsx' }, 'format'],
    ['a layer that is none', { layer: 'gold' }, 'layer'],
    ['a key that is not known', { onwer: 'x' }, 'onwer'],
    ['an idempotency key with a line break', { idempotencyKey: 'a\nb' }, 'idempotencyKey'],
    ['a file twice', { files: [file, { ...file, name: 'PART-0.csv' }] }, 'files[1].name'],
    ['a column twice', { schema: [...good.body.schema, ...good.body.schema] }, 'schema[2].name'],
    ['personal data in an unknown column', { personalData: ['c'] }, 'personalData[0]'],
    ['a parent that does not exist', { parents: ['ds_none'] }, 'parents[0]'],
    ['a wrong size', { files: [{ ...file, sizeBytes: 9999 }] }, 'files[0].sizeBytes'],
  ])('has %s', async (_, more, place) => {
    const { status, body } = await refused(more);
    expect([status, body.error.code, body.error.details[0]?.place]).toEqual([400, 'INVALID_ARGUMENT', place]);
  });

  it('names each content that was not put', async () => {
    const absent = [1, 2, 3].map((n) => ({ name: `${n}.csv`, sha256: String(n).repeat(64), sizeBytes: 1 }));
    const { status, body } = await refused({ files: [file, ...absent] });
    expect([status, body.error.code]).toEqual([412, 'FAILED_PRECONDITION']);
    expect(body.error.details.map(({ place }) => place).sort()).toEqual([1, 2, 3].map((n) => `files[${n}].sha256`));
    expect(body.error.message).toContain('PUT /v1/blobs/');
  });

  it('is of a name that is none', async () => {
    for (const name of ['-x', '..', 'a%2Fb', 'ü', 'a'.repeat(129)]) {
      const answer = await registry.fails('POST', `/v1/datasets/${encodeURI(name)}/versions`, good.body);
      expect([name, answer.status >= 400 && answer.status < 500]).toEqual([name, true]);
    }
  });

  it('says more than can be told to the others', async () => {
    const names = Array.from({ length: 1000 }, (_, i) => `${'\u{1f600}'.repeat(250)}${i}`);
    const text = '\u0000'.repeat(10_000); // six bytes each, as JSON has them
    const schema = names.map((name) => ({ name, type: 'VARCHAR', nullable: false }));
    const { status, body } = await refused({ schema, personalData: names, source: text, description: text });
    expect([status, body.error.code]).toEqual([413, 'PAYLOAD_TOO_LARGE']);
    expect(body.error.message).toContain('shorten');
  });

  it('says of a second version nothing of what changed', async () => {
    await register('silent', 'x');
    const { status, body } = await post<ErrorBody>('silent', { ...good.body, changes: '  ' });
    expect([status, body.error.details[0]?.place]).toEqual([400, 'changes']);
    expect(body.error.message).toContain('silent has version 1, of another table');
  });

  it('keeps texts with any character as they are', async () => {
    const odd = 'NUL \u0000, half a pair \ud800, quote " and \u{1f600}';
    const { status, body } = await register('odd', 'x', { description: odd, owner: odd });
    expect([status, body.owner]).toEqual([201, odd]);
    expect((await registry.call<DatasetVersion>('GET', '/v1/datasets/odd/versions/1')).body).toEqual(body);
  });
});

describe('lists', () => {
  it('of versions go newest first, of datasets by name, page by page', async () => {
    for (let i = 1; i <= 5; i++) await register('paged', `${i}`, { changes: `${i}` });
    const numbers: number[] = [];
    for (let after: string | undefined; ; ) {
      const query = `limit=2${after === undefined ? '' : `&after=${after}`}`;
      const path = `/v1/datasets/paged/versions?${query}`;
      const { body } = await registry.call<Page<DatasetVersionSummary>>('GET', path);
      numbers.push(...body.items.map(({ version }) => version));
      expect(body.items.every((item) => !('files' in item) && item.fileCount === 1)).toBe(true);
      after = body.next;
      if (after === undefined) break;
    }
    expect(numbers).toEqual([5, 4, 3, 2, 1]);

    const names: string[] = [];
    for (let after: string | undefined; ; ) {
      const query = `limit=3${after === undefined ? '' : `&after=${after}`}`;
      const { body } = await registry.call<Page<Dataset>>('GET', `/v1/datasets?${query}`);
      names.push(...body.items.map(({ name }) => name));
      after = body.next;
      if (after === undefined) break;
    }
    expect(names).toEqual(names.toSorted());
    expect(names).toContain('paged');
  });

  it('name the dataset that was meant, and the versions that there are', async () => {
    await register('meant', 'x');
    expect((await registry.fails('GET', '/v1/datasets/maent')).body.error.message).toContain('did you mean "meant"?');
    const { status, body } = await registry.fails('GET', '/v1/datasets/meant/versions/7');
    expect([status, body.error.message]).toEqual([404, expect.stringContaining('it has 1 to 1')]);
    for (const version of ['0', '-1', '1e3', 'first', '99999999999999999999']) {
      expect((await registry.fails('GET', `/v1/datasets/meant/versions/${version}`)).status).toBe(400);
    }
    expect((await registry.fails('GET', '/v1/dataset-versions/ds_none')).status).toBe(404);
  });
});

describe('the files of a version', () => {
  const bytes = Buffer.from(`a,b\n${Array.from({ length: 20_000 }, (_, i) => `${i},x`).join('\n')}\n`);
  const etag = `"${sha256Of(bytes)}"`;
  let url: string;
  beforeAll(async () => {
    await registry.put(bytes);
    const files = [{ name: 'large.csv', sha256: sha256Of(bytes), sizeBytes: bytes.length }];
    await post('large', { ...tableOf('').body, files, rows: 20_000 });
    url = `${registry.url}/v1/datasets/large/versions/1/files/large.csv`;
  });
  const get = (headers: Record<string, string>) => fetch(url, { headers });

  it('come whole, with their digest', async () => {
    const answer = await get({});
    expect(answer.headers.get('etag')).toBe(etag);
    expect(answer.headers.get('accept-ranges')).toBe('bytes');
    expect(answer.headers.get('cache-control')).toMatch(/^private, .*immutable$/); // a shared cache asks for no key
    expect(answer.headers.get('content-length')).toBe(String(bytes.length));
    expect(Buffer.from(await answer.arrayBuffer()).equals(bytes)).toBe(true);
  });

  it.each([
    ['bytes=0-99', 0, 100],
    ['bytes=100000-', 100_000, bytes.length],
    ['bytes=-50', bytes.length - 50, bytes.length],
  ])('come in ranges: %s', async (range, from, to) => {
    const answer = await get({ range, 'if-range': etag });
    expect(answer.status).toBe(206);
    expect(answer.headers.get('content-range')).toBe(`bytes ${from}-${to - 1}/${bytes.length}`);
    expect(Buffer.from(await answer.arrayBuffer()).equals(bytes.subarray(from, to))).toBe(true);
  });

  it('come whole where the range is of another content, and not at all past the end', async () => {
    const other = await get({ range: 'bytes=0-9', 'if-range': `"${'0'.repeat(64)}"` });
    expect([other.status, (await other.arrayBuffer()).byteLength]).toEqual([200, bytes.length]);
    const past = await get({ range: `bytes=${bytes.length}-` });
    expect([past.status, past.headers.get('content-range')]).toEqual([416, `bytes */${bytes.length}`]);
    expect(past.headers.get('cache-control')).toBeNull(); // of the error: the content may be kept
    expect(await past.json()).toMatchObject({
      error: { code: 'RANGE_NOT_SATISFIABLE', message: expect.stringContaining(`has ${bytes.length} bytes`) },
    });
  });

  it('do not come to who has them', async () => {
    const answer = await get({ 'if-none-match': etag });
    expect([answer.status, await answer.text()]).toEqual([304, '']);
    expect((await get({ 'if-none-match': '"other"' })).status).toBe(200);
  });

  it('are named where another is asked for', async () => {
    const { status, body } = await registry.fails('GET', '/v1/datasets/large/versions/1/files/none.csv');
    expect([status, body.error.message]).toEqual([404, expect.stringContaining('it has large.csv')]);
    const latest = await fetch(`${registry.url}/v1/datasets/large/versions/latest/files/large.csv`);
    expect([latest.status, latest.headers.get('etag')]).toEqual([200, etag]);
    await latest.arrayBuffer();
    for (const path of ['..%2F..%2Fetc%2Fpasswd', '%2e%2e', 'large.csv%00']) {
      const answer = await registry.fails('GET', `/v1/datasets/large/versions/1/files/${path}`);
      expect(answer.status).toBe(404);
    }
  });

  it('break off where the stored content is another, and say so where it is not there or too short', async () => {
    const damaged = Buffer.alloc(3_000_000, 1);
    await registry.put(damaged);
    const files = [{ name: 'x.csv', sha256: sha256Of(damaged), sizeBytes: damaged.length }];
    await post('damaged', { ...tableOf('').body, files });
    const entries = await readdir(join(registry.dir, 'registry/blobs'), { recursive: true });
    const stored = join(
      registry.dir,
      'registry/blobs',
      entries.find((path) => path.includes(sha256Of(damaged))) ?? 'none',
    );
    const ask = () => fetch(`${registry.url}/v1/datasets/damaged/versions/1/files/x.csv`);
    await writeFile(stored, Buffer.alloc(3_000_000, 2));
    await expect((await ask()).arrayBuffer()).rejects.toThrow();
    await truncate(stored, 10);
    expect((await ask()).status).toBe(500);
    await rm(stored);
    const missing = await ask();
    const { headers } = missing;
    // Whoever is told to keep this answer for a year would never see the restored content.
    expect([missing.status, headers.get('cache-control'), headers.get('etag')]).toEqual([503, null, null]);
  });
});

describe('each registration', () => {
  it('has one audit entry and its events, in one transaction; one that is answered again has none', async () => {
    const first = (await register('told', 'x', { personalData: ['b'], owner: 'o' })).body;
    await register('told', 'x');
    const second = (await register('told', 'y', { changes: 'y for x' })).body;
    const auditOf = async ({ id }: DatasetVersion) =>
      (await registry.call<Page<AuditEntry>>('GET', `/v1/audit?resource=dataset-version/${id}`)).body.items;
    const [entry, ...others] = await auditOf(first);
    expect(others).toEqual([]);
    expect(entry).toMatchObject({
      action: 'dataset-version.register',
      principal: 'local',
      details: { datasetName: 'told', version: 1, digest: first.digest, personalData: ['b'], owner: 'o' },
    });
    expect(await auditOf(second)).toHaveLength(1);
    expect((await registry.call<AuditVerification>('GET', '/v1/audit/verify')).body.valid).toBe(true);

    const log = createLogger({ service: 'registry', level: 'silent' });
    const bus = await openDatabaseEventBus({ url: `sqlite:${join(registry.dir, 'events.sqlite')}`, log });
    const events: Event[] = [];
    await bus.subscribe({ topics: [TOPICS.models], delivery: 'broadcast', from: 'earliest' }, async (event) => {
      events.push(event);
    });
    const of = (subject: string) => events.filter((event) => event.subject === subject);
    await expect.poll(() => of(second.id).length, { timeout: 20_000 }).toBe(1);
    await expect.poll(() => of(first.datasetId).length, { timeout: 20_000 }).toBe(2);
    await bus.close();
    expect(of(first.datasetId).map(({ type, sequence }) => [type, sequence])).toEqual([
      ['assay.dataset.version-registered.v1', 1],
      ['assay.dataset.version-registered.v1', 2],
    ]);
    expect(of(first.datasetId).at(-1)?.data).toEqual((await registry.call('GET', '/v1/datasets/told')).body);
    const { files: _, schema: __, ...summary } = second;
    expect(of(second.id)[0]).toMatchObject({ type: 'assay.dataset-version.registered.v1', sequence: 1 });
    expect(of(second.id)[0]?.data).toEqual(summary);
  });

  it('of ten thousand files is one version', async () => {
    const { bytes, body } = tableOf('one content under many names');
    await registry.put(bytes);
    const files = Array.from({ length: 10_000 }, (_, i) => ({
      name: `part-${String(i).padStart(5, '0')}.csv`,
      sha256: sha256Of(bytes),
      sizeBytes: bytes.length,
    }));
    const { status, body: version } = await post('many', { ...body, files, rows: 10_000 });
    expect([status, version.fileCount, version.sizeBytes]).toEqual([201, 10_000, 10_000 * bytes.length]);
    for (const name of ['part-00000.csv', 'part-09999.csv']) {
      const answer = await fetch(`${registry.url}/v1/datasets/many/versions/1/files/${name}`);
      expect(Buffer.from(await answer.arrayBuffer()).equals(Buffer.from(bytes))).toBe(true);
    }
  });

  it('of a newer version is what `latest` gives from then on', async () => {
    const read = async () =>
      (await fetch(`${registry.url}/v1/datasets/moving/versions/latest/files/part-0.csv`)).text();
    const seen: string[] = [];
    for (const text of ['1', '2', '3', '4', '5', '6']) {
      await register('moving', text, { changes: text });
      seen.push(await read());
    }
    expect(seen).toEqual(['1', '2', '3', '4', '5', '6'].map((text) => `a,b\n1,${text}\n`));
    const first = await fetch(`${registry.url}/v1/datasets/moving/versions/1/files/part-0.csv`);
    expect(await first.text()).toBe('a,b\n1,1\n');
  });

  it('stays when the registry restarts', async () => {
    await using other = await startRegistry();
    const { bytes, body } = tableOf('x');
    await other.put(bytes);
    const made = (await other.call<DatasetVersion>('POST', '/v1/datasets/kept/versions', body)).body;
    await other.stop();
    const again = await startRegistry({ dir: other.dir });
    try {
      expect((await again.call('GET', '/v1/datasets/kept/versions/1')).body).toEqual(made);
    } finally {
      await again.stop();
    }
  });
});

describe('keys', () => {
  it('with `register` register, with `read` read, and the services have what they need', async () => {
    await using keyed = await startKeyedRegistry();
    const { bytes, body } = tableOf('x');
    const reader = (await keyed.makeKey({ principal: 'reader', scopes: ['read'] })).secret;
    const writer = (await keyed.makeKey({ principal: 'writer', scopes: ['register'] })).secret;
    const put = await fetch(`${keyed.url}/v1/blobs/${sha256Of(bytes)}`, {
      method: 'PUT',
      body: Buffer.from(bytes),
      headers: { authorization: `Bearer ${writer}`, 'content-type': 'application/octet-stream' },
    });
    expect(put.status).toBe(201);
    const path = '/v1/datasets/d/versions';
    expect((await keyed.call(undefined, 'POST', path, body)).status).toBe(401);
    expect((await keyed.call(reader, 'POST', path, body)).status).toBe(403);
    const made = await keyed.call(writer, 'POST', path, body);
    expect([made.status, made.body.createdBy]).toEqual([201, 'writer']);
    for (const read of ['/v1/datasets', '/v1/datasets/d', path, `${path}/1`, `${path}/1/files/part-0.csv`]) {
      const [asReader, asNobody] = [await keyed.call(reader, 'GET', read), await keyed.call(undefined, 'GET', read)];
      expect([read, asReader.status, asNobody.status]).toEqual([read, 200, 401]);
    }
    const again = await keyed.call(keyed.keys.training, 'POST', path, body);
    expect([again.status, again.body.id]).toEqual([200, made.body.id]);
  });
});
