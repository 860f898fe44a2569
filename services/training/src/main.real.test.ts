/** The service as a process of its own, with its record and its events in PostgreSQL. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createTrainingClient } from '@assay/client';
import { type Event, TOPICS } from '@assay/contracts';
import { type Postgres, startPostgres } from '@assay/database/testing';
import { openEventBus } from '@assay/events';
import { entryUrl, nodeArguments } from '@assay/runtime';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RegistryUnderTest, startRegistry } from './registry-under-test.ts';
import { customerSpec, follow, writeCustomers } from './training-under-test.ts';

const opened = new AsyncDisposableStack();
let dir: string;
let server: Postgres;
let registry: RegistryUnderTest;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'assay-training-main-'));
  opened.defer(() => rm(dir, { recursive: true, force: true }));
  server = opened.use(await startPostgres());
  registry = opened.use(await startRegistry());
});
afterAll(() => opened.disposeAsync());

function startProgram(environment: Record<string, string>) {
  const entry = fileURLToPath(entryUrl('services/training', 'training'));
  const child = spawn(process.execPath, [...nodeArguments(), entry], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, ASSAY_DATA_DIR: dir, ASSAY_REGISTRY_URL: registry.url, ...environment },
  });
  const said = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said.out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said.err += text;
  });
  const exit = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)));
  opened.defer(async () => {
    child.kill('SIGKILL');
    await exit;
  });
  return { child, said, exit };
}

test('keeps its jobs and events where files say, tells neither password, and knows its jobs after kill -9', async () => {
  const urls = { database: server.url('training'), events: server.url('events') };
  for (const [name, url] of Object.entries(urls)) await writeFile(join(dir, name), url);
  const start = async () => {
    const program = startProgram({
      ASSAY_TRAINING_PORT: '0',
      ASSAY_TRAINING_DATABASE_URL_FILE: join(dir, 'database'),
      ASSAY_TRAINING_EVENTS_URL_FILE: join(dir, 'events'),
      ASSAY_LOG_LEVEL: 'debug',
    });
    await expect.poll(() => program.said.out, { timeout: 30_000 }).toMatch(/listens on http:\S+\n/);
    const url = /listens on (http:\S+)/.exec(program.said.out)?.[1] ?? '';
    return { ...program, client: opened.use(createTrainingClient({ url })) };
  };
  const first = await start();
  const spec = customerSpec(await writeCustomers(dir, 1500), { name: 'logistic-regression' });
  const { id } = await first.client.createJob({ spec });
  expect(await follow(first.client, id)).toMatchObject({ state: 'succeeded' });

  const bus = await openEventBus(urls.events, { log: { warn() {}, error() {} }, clientId: 'assay-test' });
  opened.defer(() => bus.close());
  const types: string[] = [];
  const { signal } = new AbortController();
  const handle = async ({ type, subject }: Event) => {
    if (subject === id) types.push(type);
  };
  await bus.subscribe({ topics: [TOPICS.jobs], delivery: 'broadcast', from: 'earliest', signal }, handle);
  const states = ['queued', 'starting', 'running', 'succeeded'];
  await expect.poll(() => types, { timeout: 20_000 }).toEqual(states.map((state) => `assay.job.${state}.v1`));

  first.child.kill('SIGKILL');
  await first.exit;
  const second = await start();
  expect(await second.client.getJob(id)).toMatchObject({ state: 'succeeded', result: { modelName: 'customers' } });
  second.child.kill('SIGTERM');
  expect(await second.exit).toBe(0);
  for (const { said } of [first, second]) {
    expect(said.out).toContain('training listens');
    expect(`${said.out}${said.err}`).not.toContain(server.password);
  }
});

test('refuses settings that do not go together, in one line that names the one to set', async () => {
  const program = startProgram({ ASSAY_TRAINING_PORT: '0', ASSAY_TRAINING_LAUNCHER: 'kubernetes' });
  expect(await program.exit).not.toBe(0);
  expect(program.said.err.trim().split('\n')).toEqual([
    expect.stringMatching(/ASSAY_TRAINING_LAUNCHER.*needs jobsFile: set ASSAY_TRAINING_JOBS_FILE/),
  ]);
});
