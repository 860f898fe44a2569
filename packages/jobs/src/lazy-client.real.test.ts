import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const index = new URL('./index.ts', import.meta.url).href;
const openProcesses = "jobs.processLauncher({ dir: '/nowhere', entry: new URL('file:///nowhere'), log: console })";
const openKubernetes =
  "await jobs.openKubernetesLauncher({ name: 'x', settings: { namespace: 'a', image: 'b' }, entry: new URL('file:///x'), log: console })";

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'assay-home-'));
});
afterEach(() => rm(home, { recursive: true }));

/** Runs a program with `jobs`, and prints the modules that it loads and what it throws. */
function run(statement: string, environment: Record<string, string> = {}): string {
  const program = `import { registerHooks } from 'node:module';
    registerHooks({ load(url, context, next) { console.log(url); return next(url, context); } });
    const jobs = await import('${index}');
    try { ${statement} } catch (error) { console.log(error.code, error.message); }`;
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH, HOME: home, ...environment },
  });
  if (status !== 0) throw new Error(stderr);
  return stdout;
}

describe('the client library of Kubernetes', () => {
  it('is loaded by who opens that launcher, and by nobody else', () => {
    const others = run(openProcesses);
    expect(others).toContain('packages/jobs/src/process-launcher.ts');
    expect(others).not.toMatch(/@kubernetes|undici|kubernetes\/launcher/);
    expect(run(openKubernetes)).toContain('node_modules/@kubernetes/client-node');
  });

  it('is told where the cluster is, or its launcher does not open', () => {
    expect(run(openKubernetes)).toContain('FAILED_PRECONDITION nothing says where Kubernetes is; set KUBECONFIG');
    const unreadable = run(openKubernetes, { KUBECONFIG: join(home, 'nothing') });
    expect(unreadable).toContain('FAILED_PRECONDITION the kubeconfig cannot be read');
  });
});
