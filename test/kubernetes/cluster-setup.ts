/** Before the tests: a cluster that is up, and an image with the suite's jobs that it knows. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import type { TestProject } from 'vitest/node';
import { COMMONJS_NAMES } from '../../tools/build.ts';
import { cluster, ROOT, run } from '../cluster/cluster.ts';

declare module 'vitest' {
  interface ProvidedContext {
    readonly image: string;
    readonly kubeconfig: string;
  }
}

const BASE = 'localhost/node:26-bookworm-slim';

let wasUp = false;

export async function setup(project: TestProject): Promise<void> {
  wasUp = await cluster(['kubectl', 'version']).then(
    () => true,
    () => false,
  );
  await cluster(['up', '--gpu-nodes', '1'], { echo: true, timeoutMs: 60 * 60_000 });
  const image = await loadImage();
  const kubeconfig = (await cluster(['env'])).replace('export KUBECONFIG=', '').trim();
  project.provide('image', image);
  project.provide('kubeconfig', kubeconfig);
}

export async function teardown(): Promise<void> {
  if (!wasUp) await cluster(['down'], { echo: true });
}

/** The pod's program and the conformance suite's job, bundled as they are in the images of the services. */
async function loadImage(): Promise<string> {
  const image = `localhost/assay/launcher-conformance:${process.pid}`; // never `latest`: Kubernetes would pull it
  await mkdir(join(ROOT, '.cache'), { recursive: true });
  const dir = await mkdtemp(join(ROOT, '.cache', 'launcher-conformance-'));
  try {
    await build({
      absWorkingDir: ROOT,
      entryPoints: { pod: 'packages/jobs/src/entries/pod.ts', job: 'packages/jobs/src/conformance-job.ts' },
      outdir: join(dir, 'context'),
      outExtension: { '.js': '.mjs' },
      bundle: true,
      format: 'esm',
      platform: 'node',
      target: 'node24',
      splitting: true,
      banner: { js: COMMONJS_NAMES },
      define: { ASSAY_BUNDLE_VERSION: JSON.stringify('0.0.0-conformance') },
      logLevel: 'warning',
    });
    const base = (await cluster(['base-image'], { echo: true })).trim();
    await run('buildah', ['pull', '--quiet', `docker-archive:${base}`]);
    const dockerfile = join(import.meta.dirname, 'image', 'Dockerfile');
    const context = join(dir, 'context');
    const options = ['--isolation', 'chroot', '--pull-never', '--build-arg', `BASE=${BASE}`];
    await run('buildah', ['bud', '--quiet', ...options, '--tag', image, '--file', dockerfile, context]);
    const archive = join(dir, 'image.tar');
    await run('buildah', ['push', '--quiet', image, `docker-archive:${archive}:${image}`]);
    await run('buildah', ['rmi', image]);
    await cluster(['load', archive], { timeoutMs: 10 * 60_000 });
  } finally {
    await rm(dir, { recursive: true });
  }
  return image;
}
