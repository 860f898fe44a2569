import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { lint, PRESETS, render, runTool, template } from './chart.ts';
import { writeSchemas } from './schemas.ts';

/** Kinds of the Prometheus operator, which no API server knows by itself. */
const FOREIGN = ['ServiceMonitor', 'PrometheusRule'];

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'assay-chart-'));
  await writeSchemas(join(dir, 'schemas'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** The real schemas of the API server, strict: an unknown or misplaced field is an error. */
async function conforms(yaml: string): Promise<{ valid: number; invalid: number; errors: number; skipped: number }> {
  const file = join(dir, 'rendered.yaml');
  await writeFile(file, yaml);
  const outcome = await runTool('kubeconform', [
    '-strict',
    '-output=json',
    '-summary',
    `-skip=${FOREIGN.join(',')}`,
    `-schema-location=${dir}/schemas/{{.ResourceKind}}{{.KindSuffix}}.json`,
    file,
  ]);
  const report = JSON.parse(outcome.stdout) as { resources: unknown[]; summary: Awaited<ReturnType<typeof conforms>> }; // kubeconform's own form
  if (report.resources.length > 0) throw new Error(JSON.stringify(report.resources, null, 2)); // only what is wrong is listed
  return report.summary;
}

test('there are presets for both modes and each cloud', () => {
  expect(PRESETS).toEqual(
    expect.arrayContaining(['standalone', 'distributed', 'gpu-aks', 'gpu-eks', 'gpu-eks-karpenter', 'gpu-gke']),
  );
});

describe.each(PRESETS)('the preset %s', (preset) => {
  test('has no fault that helm lint finds', async () => {
    const { status, stdout, stderr } = await lint({ preset });
    expect({ status, said: stdout + stderr }).toMatchObject({
      status: 0,
      said: expect.stringContaining('0 chart(s) failed'),
    });
  });

  test('gives objects that the API server knows, field by field', async () => {
    const { stdout } = await template({ preset });
    const summary = await conforms(stdout);
    const objects = await render({ preset });
    const foreign = objects.filter(({ kind }) => FOREIGN.includes(kind)).length;
    expect(summary).toEqual({ valid: objects.length - foreign, invalid: 0, errors: 0, skipped: foreign });
  });

  test('gives each object one name, and the namespace that it is for', async () => {
    const objects = await render({ preset });
    const names = objects.map(({ kind, metadata }) => `${kind}/${metadata.namespace ?? ''}/${metadata.name}`);
    expect(new Set(names).size).toBe(names.length);
    const lost = objects.filter(({ kind, metadata }) => kind !== 'Namespace' && metadata.namespace === undefined);
    expect(lost).toEqual([]);
  });

  test('names a version of every image', async () => {
    const { stdout } = await template({ preset, set: ['image.tag=1.2.3', 'image.registry=example.org'] });
    const images = [...stdout.matchAll(/image: (\S+)/g)].map(([, image]) => image);
    expect(images.length).toBeGreaterThan(1);
    for (const image of images) expect(image).toMatch(/^example\.org\/assay\/[a-z-]+:1\.2\.3$/);
  });
});

test('a field that Kubernetes does not know is found (the check is one)', async () => {
  const { stdout } = await template({ preset: 'standalone' });
  await expect(conforms(stdout.replace('runAsNonRoot', 'runAsNobody'))).rejects.toThrow(/runAsNobody/);
});
