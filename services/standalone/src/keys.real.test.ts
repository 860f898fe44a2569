/**
 * Keys are planted: those of the administrator and of every service, one of an application, and wrong ones that callers
 * try. Then everything that Assay writes or shows is searched for their secrets.
 */
import { existsSync } from 'node:fs';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createRegistryClient, createScoringClient, createTrainingClient, type RegistryClient } from '@assay/client';
import type { Job, TrainingSpec } from '@assay/contracts';
import { afterEach, describe, expect, it } from 'vitest';
import { startUp, type UpUnderTest } from './up-under-test.ts';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(dataDir?: string): Promise<UpUnderTest> {
  const running = await startUp(dataDir);
  cleanups.push(async () => running[Symbol.asyncDispose]());
  return running;
}

async function administrator(running: UpUnderTest): Promise<RegistryClient> {
  const client = createRegistryClient({ url: running.url.registry, bearerToken: await running.key('admin') });
  cleanups.push(() => client.close());
  return client;
}

/** A job that ends in a version with the alias `champion`. */
async function train(running: UpUnderTest): Promise<{ job: Job; processes: ProcessSeen[] }> {
  const path = join(running.dataDir, 'rows.csv');
  const rows = Array.from({ length: 400 }, (_, i) => `${i % 40},${(i * 7) % 11},${i % 40 > 19 ? 1 : 0}`);
  await writeFile(path, `a,b,y\n${rows.join('\n')}\n`);
  const spec: TrainingSpec = {
    model: 'planted',
    source: { path },
    target: { name: 'large', expression: 'y = 1' },
    features: [
      { name: 'a', dtype: 'int64' },
      { name: 'b', dtype: 'int64' },
    ],
    split: { by: 'random', validation: 0.2, test: 0.2 },
    trainer: { name: 'logistic-regression', l2: 1 },
    register: { alias: 'champion' },
  };
  await using training = createTrainingClient({
    url: running.url.training,
    bearerToken: await running.key('admin'),
  });
  const processes: ProcessSeen[] = [];
  let job = await training.createJob({ spec });
  for await (job of training.followJob(job.id)) processes.push(...(await processesBelow(running.process.pid ?? 0)));
  return { job, processes };
}

interface ProcessSeen {
  readonly pid: number;
  readonly commandLine: string;
  readonly environment: string;
}

/** Every process that this one started, and itself; those that end meanwhile are left out. */
async function processesBelow(root: number): Promise<ProcessSeen[]> {
  const parents = new Map<number, number>();
  for (const name of await readdir('/proc')) {
    const status = /^\d+$/.test(name) ? await readFile(`/proc/${name}/status`, 'utf8').catch(() => '') : '';
    const parent = /^PPid:\t(\d+)$/m.exec(status)?.[1];
    if (parent !== undefined) parents.set(Number(name), Number(parent));
  }
  const isBelow = (pid: number | undefined): boolean =>
    pid !== undefined && (pid === root || isBelow(parents.get(pid)));
  const seen: ProcessSeen[] = [];
  for (const pid of [...parents.keys()].filter(isBelow)) {
    const read = (file: string) => readFile(`/proc/${pid}/${file}`, 'latin1').catch(() => '');
    seen.push({ pid, commandLine: await read('cmdline'), environment: await read('environ') });
  }
  return seen;
}

async function filesBelow(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

async function filesWith(dir: string, secrets: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const file of await filesBelow(dir)) {
    const text = await readFile(file, 'latin1');
    if (secrets.some((secret) => text.includes(secret))) found.push(file);
  }
  return found;
}

describe('planted keys', () => {
  it('are found where they are kept, and nowhere else', { timeout: 240_000 }, async () => {
    const running = await start();
    const admin = await administrator(running);
    const names = await readdir(join(running.dataDir, 'keys'));
    const planted = new Map<string, string>();
    const tokens = new Set<string>();
    for (const name of names) planted.set(name, await running.key(name));
    expect([...planted.keys()]).toEqual(
      expect.arrayContaining(['admin', 'inference', 'training', 'batch', 'monitoring']),
    );

    const { job, processes } = await train(running);
    expect(job, running.output().slice(-2000)).toMatchObject({ state: 'succeeded' });
    expect(new Set(processes.map(({ pid }) => pid)).size).toBeGreaterThan(1);
    expect(processes.some(({ environment }) => environment.includes('ASSAY_JOB_TOKEN='))).toBe(true);

    for (const { environment } of processes) {
      const token = /(?:^|\0)ASSAY_JOB_TOKEN=([^\0]+)/.exec(environment)?.[1];
      if (token !== undefined) tokens.add(token);
    }
    expect(tokens.size).toBe(1);

    const app = await admin.createKey({ principal: 'app', kind: 'service', scopes: ['score'], endpoints: ['planted'] });
    planted.set('app', app.secret);
    const wrong = `${app.secret.slice(0, -5)}wrong`;
    planted.set('wrong', wrong);
    planted.set('truncated', `x${app.secret.slice(1, -1)}`);

    // Every door is tried with each of them, in every way.
    const answers: string[] = [];
    const paths = ['/metrics', '/v1/models', '/v1/endpoints', '/v1/jobs', '/v1/keys', '/v1/predictions', '/nowhere'];
    for (const url of Object.values(running.url)) {
      for (const path of paths) {
        for (const key of planted.values()) {
          for (const headers of [{ authorization: `Bearer ${key}` }, { authorization: key }]) {
            const response = await fetch(`${url}${path}`, { headers });
            answers.push(JSON.stringify([...response.headers]), await response.text());
          }
        }
      }
    }
    await using scoring = createScoringClient({ url: running.url.inference, bearerToken: app.secret });
    await expect
      .poll(() => scoring.score('planted', [{ a: 30, b: 1 }]).then(({ predictions }) => predictions.length, String), {
        timeout: 30_000,
      })
      .toBe(1);
    const other = await scoring.score('other', [{ a: 30, b: 1 }]).catch((error: unknown) => String(error));
    expect(other).toContain('may not score "other"; it is limited to planted');
    answers.push(String(other));

    await admin.revokeKey(app.key.id);
    await expect
      .poll(
        () =>
          scoring.score('planted', [{ a: 30, b: 1 }]).then(
            () => 200,
            ({ code }) => code,
          ),
        { timeout: 5000 },
      )
      .toBe('UNAUTHENTICATED');
    expect((await admin.verifyAudit()).valid).toBe(true);
    const audit = await admin.audit({ limit: 1000 });
    expect(audit.items.map(({ action }) => action)).toEqual(
      expect.arrayContaining(['key.create', 'key.revoke', 'alias.move']),
    );
    answers.push(
      JSON.stringify(audit),
      JSON.stringify(await admin.listKeys()),
      JSON.stringify(await admin.keySnapshot()),
    );
    await running.stop();

    const keys = [...planted.values()].map((key) => key.slice(-43));
    const secrets = [...keys, ...tokens];
    const holding = (texts: readonly string[]) =>
      texts.filter((text) => secrets.some((secret) => text.includes(secret)));
    // The search finds what is there …
    const keysDir = join(running.dataDir, 'keys');
    expect((await filesWith(keysDir, secrets)).length).toBe(names.length);
    expect(answers.join('').length).toBeGreaterThan(10_000);
    expect(running.output()).toContain('a call was refused for its key');
    const files = await filesBelow(running.dataDir);
    for (const part of ['registry.sqlite', 'training.sqlite', 'events.sqlite', 'spec.json', 'keys.json']) {
      expect([part, files.some((file) => file.endsWith(part))]).toEqual([part, true]);
    }
    // … and nothing else: log and traces, answers and error bodies and metrics, processes, databases, events, job folders.
    expect(holding([running.output()])).toEqual([]);
    expect(holding(answers)).toEqual([]);
    expect(holding(processes.map(({ commandLine }) => commandLine))).toEqual([]);
    // A job has its token there, and no key.
    const holdsKey = ({ environment }: ProcessSeen) => keys.some((key) => environment.includes(key));
    expect(processes.filter(holdsKey)).toEqual([]);
    expect((await filesWith(running.dataDir, secrets)).filter((file) => !file.startsWith(keysDir))).toEqual([]);
  });

  it('are readable by their owner alone', { timeout: 60_000 }, async () => {
    const running = await start();
    const keysDir = join(running.dataDir, 'keys');
    expect((await stat(keysDir)).mode & 0o777).toBe(0o700);
    for (const name of await readdir(keysDir)) {
      expect([name, (await stat(join(keysDir, name))).mode & 0o777]).toEqual([name, 0o600]);
    }
    const cache = join(running.dataDir, 'inference', 'keys.json');
    await expect.poll(() => existsSync(cache), { timeout: 10_000 }).toBe(true);
    expect((await stat(cache)).mode & 0o777).toBe(0o600);
  });
});
