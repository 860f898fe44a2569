import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readKubernetesJobSettings } from './settings.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'assay-settings-'));
});
afterEach(() => rm(dir, { recursive: true }));

async function read(text: string) {
  const path = join(dir, 'jobs.yaml');
  await writeFile(path, text);
  return readKubernetesJobSettings(path);
}

describe('the settings of jobs on Kubernetes', () => {
  it('are read as the chart writes them', async () => {
    const text = `
namespace: assay-jobs
image: registry.example/assay/training:1.2.3
imagePullPolicy: IfNotPresent
imagePullSecrets:
  - registry
serviceAccount: assay-job
ttlSecondsAfterFinished: 3600
queueName: assay
resources:
  limits:
    memory: 8Gi
  requests:
    cpu: "1"
    memory: 2Gi
nodeSelector:
  {}
tolerations:
  []
gpu:
  nodeSelector:
    cloud.google.com/gke-accelerator: nvidia-l4
  tolerations:
    - {key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}
`;
    expect(await read(text)).toMatchObject({
      namespace: 'assay-jobs',
      queueName: 'assay',
      imagePullSecrets: ['registry'],
    });
  });

  it.each([
    ['an unknown key', 'namespace: a\nimage: b\nnodeSelektor: {}\n', /jobs.yaml:3: .*nodeSelektor.*nodeSelector/s],
    ['no namespace', 'image: b\n', /namespace/],
    ['a namespace that Kubernetes would not take', 'namespace: Assay_Jobs\nimage: b\n', /jobs.yaml:1: namespace/],
    ['a quantity that is none', 'namespace: a\nimage: b\nworkSizeLimit: 10 GB\n', /jobs.yaml:3: workSizeLimit/],
  ])('are refused with the line: %s', async (_, text, words) => {
    const refused = read(text);
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(refused.catch((error: unknown) => JSON.stringify([String(error), error]))).resolves.toMatch(words);
  });

  it('say that their file is not there', async () => {
    await expect(readKubernetesJobSettings(join(dir, 'nothing.yaml'))).rejects.toThrow(
      /settings of jobs.*nothing.yaml/,
    );
  });
});
