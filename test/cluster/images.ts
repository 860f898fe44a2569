/** The images, built here and made known to the cluster. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cluster, ROOT, run } from './cluster.ts';
import { check, needed, type Step } from './step.ts';

const ARCHIVES = join(ROOT, '.cache', 'images', 'archives');
const NEXT_IMAGE = join(import.meta.dirname, 'next-image');
const BASE = 'node:26-bookworm-slim';

/** `inference`, of `localhost/assay/inference:0.1.0` */
function serviceOf(name: string): string {
  return name.split(':')[0]?.split('/').pop() ?? '';
}

/** It is not upgraded to another image here: the distributed services are. */
function isStandalone(name: string): boolean {
  return serviceOf(name) === 'standalone';
}

export const imageSteps: readonly Step[] = [
  {
    name: 'the images are built on the base image of this machine',
    async run({ made, tell }) {
      const archive = (await cluster(['base-image'], { echo: true })).trim();
      await run('buildah', ['pull', '--quiet', `docker-archive:${archive}`]);
      const build = (tag?: string): Promise<string> =>
        run('dockerfiles/build', [], {
          echo: true,
          timeoutMs: 20 * 60_000,
          env: {
            ASSAY_IMAGE_BUILDER: 'buildah',
            ASSAY_BASE_IMAGE: `localhost/${BASE}`,
            ASSAY_IMAGE_ARCHIVES: ARCHIVES,
            ASSAY_IMAGE_REPOSITORY: 'localhost/assay',
            ...(tag === undefined ? {} : { ASSAY_IMAGE_TAG: tag }),
          },
        });
      const names = (await build()).trim().split('\n');
      const tags = new Set(names.map((name) => name.split(':')[1]));
      check(tags.size === 1, `the images have different tags: ${names.join(', ')}`);
      made.tag = [...tags].join();
      made.names = names.join(' ');
      tell('images', names.join(' '));
    },
  },
  {
    name: 'another image of each service is built, to upgrade to',
    async run(context) {
      context.made.nextTag = `${needed(context, 'tag')}-next`;
      for (const name of needed(context, 'names').split(' ')) {
        if (isStandalone(name)) continue;
        const service = serviceOf(name);
        const next = `${name}-next`;
        // Of another digest: pods that run it are not those that ran the first.
        const options = ['--quiet', '--isolation', 'chroot', '--pull-never', '--format', 'docker', '--tag', next];
        await run('buildah', ['bud', ...options, '--build-arg', `BASE=${name}`, NEXT_IMAGE]);
        const archive = join(ARCHIVES, `${service}-next.tar`);
        await rm(archive, { force: true }); // of a run that was broken off: none is written over
        await run('buildah', ['push', '--quiet', next, `docker-archive:${archive}:${next}`]);
      }
    },
  },
  {
    name: 'the cluster knows them',
    async run(context) {
      const archives = (await readdir(ARCHIVES)).map((file) => join(ARCHIVES, file));
      check(archives.length === 2 * needed(context, 'names').split(' ').length - 1, `there are ${archives.join(', ')}`);
      await cluster(['load', ...archives], { timeoutMs: 10 * 60_000 });
      // Some gigabytes, which the cluster has now.
      await rm(ARCHIVES, { recursive: true });
      const names = needed(context, 'names').split(' ');
      const next = names.filter((name) => !isStandalone(name)).map((name) => `${name}-next`);
      await run('buildah', ['rmi', ...next, ...names]);
    },
  },
];
