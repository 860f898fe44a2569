import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { float32Tensor, GraphBuilder } from '@assay/onnx';
import { entryUrl, nodeArguments } from '@assay/runtime';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { assay as run } from '../fake-services.ts';

let dir: string;
let registry: { readonly child: ChildProcess; readonly url: string };

/** A graph whose one output is its input times `factor`. */
function timesModel(factor: number): Uint8Array {
  const graph = new GraphBuilder();
  const x = graph.input('x', 'float32', ['N', 1]);
  graph.node('Mul', [x, graph.constant(float32Tensor([factor]))], { outputs: ['product'] });
  graph.output('product', 'float32', ['N', 1]);
  return graph.build();
}

const assay = (...args: string[]) => run([...args, '--registry', registry.url], { cwd: dir });

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'assay-compose-cli-'));
  const entry = fileURLToPath(entryUrl('services/registry', 'registry'));
  const child = spawn(process.execPath, [...nodeArguments(), entry], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ASSAY_DATA_DIR: join(dir, 'data'), ASSAY_LOG_LEVEL: 'silent', ASSAY_REGISTRY_PORT: '0' },
  });
  const line = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve);
    child.once('exit', () => reject(new Error('the registry ended before it listened')));
  });
  registry = { child, url: /http:\S+/.exec(line)?.[0] ?? '' };
  for (const [name, factor] of [['twice', 2] as const, ['thrice', 3] as const]) {
    await writeFile(join(dir, `${name}.onnx`), timesModel(factor));
    expect((await assay('register', name, `${name}.onnx`, '--alias', 'champion')).err).toBe('');
  }
});
afterAll(async () => {
  const ended = new Promise((resolve) => registry.child.once('close', resolve));
  registry.child.kill('SIGTERM');
  await ended;
  await rm(dir, { recursive: true, force: true });
});

async function composed(spec: string, ...more: string[]) {
  await writeFile(join(dir, 'whole.yaml'), spec);
  return assay('compose', 'whole.yaml', ...more);
}

describe('assay compose', () => {
  test('registers one version made of others, which its lineage names', async () => {
    const { code, out, err } = await composed(`
model: whole
description: The one after the other, and the mean of both.
steps:
  first: { version: twice }
  second: { version: thrice@1, inputs: { x: first } }
  both: { mean: [first, second] }
outputs: { last: second, mean: both }
register: { alias: champion }
`);
    expect(err).toBe('first is twice 1\nsecond is thrice 1\n');
    expect(code).toBe(0);
    expect(out).toMatch(/^model +whole\nversion +1\nalias +champion\ndigest +[0-9a-f]{64}\nfeatures +x:float32\n/);
    const lineage = await assay('lineage', 'whole', '1');
    expect(lineage.out).toContain('twice 1');
    expect(lineage.out).toContain('thrice 1');
  });

  test('says in plain words what does not fit, and registers nothing', async () => {
    const misfit = await composed(`
model: misfit
steps:
  first: { version: twice@champion }
  blend: { mean: [first.produkt] }
outputs: { out: blend }
`);
    expect(misfit.code).toBe(2);
    expect(misfit.err).toContain(
      'steps.blend.mean[0]: "first.produkt" is nothing that step "first" gives; it gives first.product',
    );
    const unknown = await composed('model: misfit\nsteps:\n  a: { version: twice@canary }\noutputs: { out: a }\n');
    expect(unknown.err).toContain('steps.a.version: model twice has no alias canary');
    const typo = await composed('model: misfit\nsteps:\n  a: { versoin: twice }\noutputs: { out: a }\n');
    expect([typo.code, typo.err]).toEqual([2, expect.stringContaining('steps.a: needs version or mean or vote')]);
    expect((await assay('models')).out).not.toContain('misfit');
  });
});
