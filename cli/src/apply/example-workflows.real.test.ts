/**
 * The example workflows of `examples/ci`, run: their shell steps in order, with the environment that the platform gives, by the
 * shell that it runs them with, against a real registry. Docker alone is not real: what stands for it gives the command just
 * what a container would have.
 */
import { spawn } from 'node:child_process';
import { chmod, cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nodeArguments, readYaml } from '@assay/runtime';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RegistryUnderTest, startRegistry } from './registry-under-test.ts';

const EXAMPLES = fileURLToPath(new URL('../../../examples/ci', import.meta.url));
const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));
const IMAGE = 'registry.example.com/assay/standalone:0.1.0';
const COMMIT = 'a9993e364706816aba3e25717850c26c9cd0d89d';

const DOCKER = `#!/usr/bin/env bash
set -eu
[ "$1" = run ]; shift
environment=()
while :; do case "$1" in
  --rm) shift ;;
  --volume) [ "\${2#*:}" = /files:ro ]; cd "\${2%%:*}"; shift 2 ;;
  --workdir) [ "$2" = /files ]; shift 2 ;;
  --env) environment+=("$2=\${!2}"); shift 2 ;;
  *) break ;;
esac; done
[ "$1" = ${IMAGE} ]; shift
exec env -i PATH="$PATH" "\${environment[@]}" ${[process.execPath, ...nodeArguments(), MAIN].join(' ')} "$@"
`;

interface GithubStep {
  readonly uses?: string;
  readonly run?: string;
  readonly env?: Readonly<Record<string, string>>;
}
interface GithubWorkflow {
  readonly env: Readonly<Record<string, string>>;
  readonly jobs: Readonly<Record<string, { readonly if: string; readonly steps: readonly GithubStep[] }>>;
}
interface AzureStep {
  readonly checkout?: string;
  readonly bash?: string;
  readonly env?: Readonly<Record<string, string>>;
}
interface AzureStage {
  readonly stage: string;
  readonly condition: string;
  readonly jobs: readonly {
    readonly steps?: readonly AzureStep[];
    readonly strategy?: { readonly runOnce: { readonly deploy: { readonly steps: readonly AzureStep[] } } };
  }[];
}

/** What somebody would set for the repository, and for the pipeline. */
let variables: Readonly<Record<string, string>>;
let registry: RegistryUnderTest;
let summary: string;

beforeAll(async () => {
  registry = await startRegistry();
  await registry.register('flight-delay', 1);
  const { client, dir } = registry;
  const { secret: read } = await client.createKey({ principal: 'ci', kind: 'service', scopes: ['read'] });
  const scopes = ['read', 'register', 'promote'] as const;
  const { secret: write } = await client.createKey({ principal: 'ci', scopes: [...scopes] });
  const secrets = { ASSAY_READ_KEY: read, ASSAY_KEY: write };
  variables = { ...secrets, ASSAY_IMAGE: IMAGE, ASSAY_REGISTRY_URL: registry.url };
  await mkdir(join(dir, 'bin'));
  await writeFile(join(dir, 'bin/docker'), DOCKER);
  await chmod(join(dir, 'bin/docker'), 0o755);
  await cp(join(EXAMPLES, 'platform'), join(dir, 'checkout/platform'), { recursive: true });
  summary = join(dir, 'summary');
});
afterAll(() => registry[Symbol.asyncDispose]());

async function shell(
  shellArguments: readonly string[],
  script: string,
  env: Readonly<Record<string, string>>,
): Promise<{ readonly code: number | null; readonly output: string }> {
  const child = spawn('bash', [...shellArguments, '-c', script], {
    cwd: join(registry.dir, 'checkout'),
    env: { PATH: `${join(registry.dir, 'bin')}:${process.env.PATH}`, ...env },
    stdio: ['ignore', 'pipe', 'pipe'], // with a socket there, bash takes itself for remote and reads ~/.bashrc
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject).once('close', resolve);
  });
  return { code, output };
}

async function example<T>(file: string): Promise<T> {
  return readYaml(await readFile(join(EXAMPLES, file), 'utf8'), file).value as T; // the file of this repository
}

/** `${{ vars.X }}` and `${{ secrets.X }}`, or `$(X)`. */
function filledIn(env: Readonly<Record<string, string>> = {}): Record<string, string> {
  const fill = (text: string): string =>
    text.replace(/^(?:\$\{\{ (?:vars|secrets)\.(\w+) \}\}|\$\((\w+)\))$/, (whole, github, azure) => {
      const value = variables[github ?? azure];
      if (value === undefined) throw new Error(`nobody has set ${whole}`);
      return value;
    });
  return Object.fromEntries(Object.entries(env).map(([name, text]) => [name, fill(text)]));
}

/** Runs the one job that the event starts, until a step fails. */
async function github(event: 'pull_request' | 'push' | 'schedule') {
  const workflow = await example<GithubWorkflow>('github-actions.yml');
  const jobs = Object.values(workflow.jobs).filter((job) => job.if === `github.event_name == '${event}'`);
  expect(jobs).toHaveLength(1);
  await writeFile(summary, '');
  const platform = { GITHUB_SHA: COMMIT, GITHUB_STEP_SUMMARY: summary, RUNNER_TEMP: registry.dir };
  let last = { code: 0 as number | null, output: '' };
  for (const { uses, run, env } of jobs.flatMap(({ steps }) => steps)) {
    if (uses !== undefined) expect(uses).toMatch(/^actions\/checkout@v\d+$/);
    if (run === undefined) continue;
    last = await shell(['-e'], run, { ...platform, ...filledIn(workflow.env), ...filledIn(env) });
    if (last.code !== 0) break;
  }
  return { ...last, summary: await readFile(summary, 'utf8') };
}

async function azure(reason: 'PullRequest' | 'IndividualCI') {
  const { stages } = await example<{ stages: readonly AzureStage[] }>('azure-pipelines.yml');
  const wanted =
    reason === 'PullRequest' ? /^eq\(variables\['Build.Reason'\]/ : /^and\(ne\(variables\['Build.Reason'\]/;
  const jobs = stages.filter(({ condition }) => wanted.test(condition)).flatMap((stage) => stage.jobs);
  expect(jobs).toHaveLength(1);
  const platform = { BUILD_SOURCEVERSION: COMMIT, AGENT_TEMPDIRECTORY: registry.dir };
  const { ASSAY_IMAGE = '', ASSAY_REGISTRY_URL = '' } = variables; // secrets are given to nobody who does not ask
  let last = { code: 0 as number | null, output: '' };
  for (const { checkout, bash, env } of jobs.flatMap((job) => job.steps ?? job.strategy?.runOnce.deploy.steps ?? [])) {
    if (bash === undefined) expect(checkout).toBe('self');
    else
      last = await shell(['--noprofile', '--norc'], bash, {
        ...platform,
        ASSAY_IMAGE,
        ASSAY_REGISTRY_URL,
        ...filledIn(env),
      });
    if (last.code !== 0) break;
  }
  const uploaded = /^##vso\[task\.uploadsummary\](.+)$/m.exec(last.output)?.[1];
  return { ...last, summary: uploaded === undefined ? '' : await readFile(uploaded, 'utf8') };
}

async function change(from: string, to: string): Promise<void> {
  const path = join(registry.dir, 'checkout/platform/flight-delay.yaml');
  const text = await readFile(path, 'utf8');
  expect(text).toContain(from);
  await writeFile(path, text.replace(from, to));
}

describe('the example workflow', () => {
  test('of GitHub Actions shows a change, applies it, and finds what was changed by hand', async () => {
    const shown = await github('pull_request');
    expect(shown).toMatchObject({ code: 0, output: '' });
    expect(shown.summary).toMatch(/^```diff\n~ Model flight-delay .*2 to make, 1 to change.*\n```\n$/s);
    expect((await registry.client.getModel('flight-delay')).aliases).toEqual({});

    const before = await registry.lastEntry();
    expect(await github('push')).toMatchObject({ code: 0, output: expect.stringContaining('done: + Alias') });
    expect((await registry.client.getModel('flight-delay')).aliases).toEqual({ champion: 1 });
    const { items } = await registry.client.audit({ after: before });
    expect(items.length).toBeGreaterThan(2);
    for (const { principal, details } of items) expect([principal, details?.commit]).toEqual(['ci', COMMIT]);

    const { revision } = await registry.client.getModel('flight-delay');
    await registry.client.updateModel('flight-delay', { expectedRevision: revision, description: 'By hand' });
    expect(await github('schedule')).toMatchObject({
      code: 2,
      output: expect.stringContaining('-    description: By hand'),
    });
  });

  test('of Azure Pipelines shows a change and applies it', async () => {
    await change('More than 15', 'More than 20');
    const shown = await azure('PullRequest');
    expect(shown.code).toBe(0);
    expect(shown.summary).toMatch(/^```diff\n~ Model flight-delay .*\+ {4}description: More than 20 .*\n```\n$/s);
    expect(await azure('IndividualCI')).toMatchObject({ code: 0, output: expect.stringContaining('done: ~ Model') });
    expect((await registry.client.getModel('flight-delay')).description).toBe('More than 20 minutes late');
  });

  test('of both fails for files that cannot be applied', async () => {
    await change('version: ', 'vresion: ');
    for (const failed of [await github('pull_request'), await azure('PullRequest')]) {
      expect(failed).toMatchObject({
        code: 1,
        output: expect.stringContaining('did you mean "version"?'),
        summary: '',
      });
    }
    await change('vresion: ', 'version: ');
  });
});
