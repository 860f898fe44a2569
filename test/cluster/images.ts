/** The images, built here and made known to the cluster. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cluster, ROOT, run } from './cluster.ts';
import { check, needed, type Step } from './step.ts';

const ARCHIVES = join(ROOT, '.cache', 'images', 'archives');
const BASE = 'node:26-bookworm-slim';

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
      made.services = names.map((name) => name.split(':')[0]?.split('/').pop()).join(' ');
      tell('images', names.join(' '));
    },
  },
  {
    name: 'the cluster knows them',
    async run(context) {
      const services = needed(context, 'services').split(' ');
      await cluster(['load', ...services.map((service) => join(ARCHIVES, `${service}.tar`))], {
        timeoutMs: 10 * 60_000,
      });
      await rm(ARCHIVES, { recursive: true }); // some gigabytes
    },
  },
];
