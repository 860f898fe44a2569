import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { entryUrl, nodeArguments } from '@assay/runtime';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'assay-registry-main-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

function startProgram(environment: Record<string, string>) {
  const entry = fileURLToPath(entryUrl('services/registry', 'registry'));
  const child = spawn(process.execPath, [...nodeArguments(), entry], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ASSAY_DATA_DIR: dir, ASSAY_LOG_LEVEL: 'silent', ...environment },
  });
  const said = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said.out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said.err += text;
  });
  const exit = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)));
  return { child, said, exit };
}

async function addressOf(program: ReturnType<typeof startProgram>): Promise<string> {
  const listens = /^registry listens on (http:\S+)$/m; // the line for people, not one of the log
  await expect.poll(() => program.said.out, { timeout: 30_000 }).toMatch(listens);
  return listens.exec(program.said.out)?.[1] ?? '';
}

describe('the registry as a process', () => {
  it('says where it listens, and stops cleanly when it is told to', async () => {
    const program = startProgram({ ASSAY_REGISTRY_PORT: '0' });
    const url = await addressOf(program);
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    program.child.kill('SIGTERM');
    expect(await program.exit).toBe(0);
    expect(program.said.err).toBe('');
  });

  it('says in one line that its port is taken, and which setting changes it', async () => {
    const first = startProgram({ ASSAY_REGISTRY_PORT: '0' });
    const { port } = new URL(await addressOf(first));
    const elsewhere = await mkdtemp(join(tmpdir(), 'assay-registry-main-'));
    const second = startProgram({ ASSAY_REGISTRY_PORT: port, ASSAY_DATA_DIR: elsewhere });
    expect(await second.exit).not.toBe(0);
    expect(second.said.err.trim().split('\n')).toEqual([expect.stringMatching(/taken.*ASSAY_REGISTRY_PORT/)]);
    first.child.kill('SIGTERM');
    expect(await first.exit).toBe(0);
    await rm(elsewhere, { recursive: true, force: true });
  });

  it('refuses a setting that it does not know, with the nearest', async () => {
    const program = startProgram({ ASSAY_REGISTRY_PROT: '1' });
    expect(await program.exit).not.toBe(0);
    expect(program.said.err).toMatch(/ASSAY_REGISTRY_PROT.*did you mean.*ASSAY_REGISTRY_PORT/);
  });

  it('has its database and its event bus where secrets say, from files too, and shows neither', async () => {
    const elsewhere = await mkdtemp(join(tmpdir(), 'assay-registry-main-'));
    await writeFile(join(elsewhere, 'url'), `sqlite:${join(elsewhere, 'tables.sqlite')}\n`);
    const program = startProgram({
      ASSAY_REGISTRY_PORT: '0',
      ASSAY_DATA_DIR: join(elsewhere, 'data'),
      ASSAY_LOG_LEVEL: 'debug',
      ASSAY_REGISTRY_DATABASE_URL_FILE: join(elsewhere, 'url'),
      ASSAY_REGISTRY_EVENTS_URL: `sqlite:${join(elsewhere, 'bus.sqlite')}`,
    });
    expect((await fetch(`${await addressOf(program)}/readyz`)).status).toBe(200);
    expect(await readdir(elsewhere)).toEqual(expect.arrayContaining(['tables.sqlite', 'bus.sqlite']));
    program.child.kill('SIGTERM');
    expect(await program.exit).toBe(0);
    expect(program.said.out + program.said.err).not.toMatch(/tables\.sqlite|bus\.sqlite/);
    await rm(elsewhere, { recursive: true, force: true });
  });

  it('takes Kafka for its event bus where brokers are set, and keeps what happens while none can be reached', async () => {
    const elsewhere = await mkdtemp(join(tmpdir(), 'assay-registry-main-'));
    const program = startProgram({
      ASSAY_REGISTRY_PORT: '0',
      ASSAY_DATA_DIR: elsewhere,
      ASSAY_KAFKA_BROKERS: '127.0.0.1:1',
    });
    const url = await addressOf(program);
    const headers = { 'content-type': 'application/json' };
    const made = await fetch(`${url}/v1/models`, { method: 'POST', headers, body: '{"name":"m"}' });
    expect(made.status).toBe(201);
    expect(await (await fetch(`${url}/metrics`)).text()).toMatch(/^assay_registry_outbox_events 1$/m);
    expect(await readdir(elsewhere)).not.toContain('events.sqlite');
    program.child.kill('SIGTERM');
    expect(await program.exit).toBe(0);
    await rm(elsewhere, { recursive: true, force: true });
  });

  it.each([
    [
      'an event bus that is none',
      { ASSAY_REGISTRY_EVENTS_URL: 'https://user:hunter2@bus' },
      /"https:" is no event bus/,
    ],
    ['Kafka without brokers', { ASSAY_REGISTRY_EVENTS_URL: 'kafka:' }, /ASSAY_KAFKA_BROKERS/],
    ['a database that is none', { ASSAY_REGISTRY_DATABASE_URL: 'mysql://user:hunter2@host/db' }, /sqlite:FILE/],
  ])('refuses %s in one line, without what may be secret', async (_, environment, message) => {
    const program = startProgram({ ASSAY_REGISTRY_PORT: '0', ...environment });
    expect(await program.exit).not.toBe(0);
    expect(program.said.err.trim().split('\n')).toEqual([expect.stringMatching(message)]);
    expect(program.said.err + program.said.out).not.toContain('hunter2');
  });
});
