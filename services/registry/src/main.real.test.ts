import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
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
  await expect.poll(() => program.said.out, { timeout: 30_000 }).toMatch(/http:\S+/);
  return /http:\S+/.exec(program.said.out)?.[0] ?? '';
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
});
