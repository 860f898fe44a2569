/** Mode distributed: every service apart, PostgreSQL, Kafka and blobs beside the cluster. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createScoringClient } from '@assay/client';
import type { BatchJob, Job } from '@assay/contracts';
import { helm, kubectl, list, ROOT, run } from './cluster.ts';
import { startInfrastructure } from './infrastructure.ts';
import {
  adminKey,
  besideOf,
  type Clients,
  createSecrets,
  install,
  JOBS_NAMESPACE,
  NAMESPACE,
  openClients,
  PIPELINE,
  RELEASE,
  urlOf,
} from './installation.ts';
import { createTopics, judgePipeline, startPipelineLoad } from './pipeline-load.ts';
import { check, needed, type Step, until } from './step.ts';
import { DATASET, MODEL, RECORDS, specOf, writeTrips } from './trips.ts';

const JOB_MS = 180_000;
const SCORES = 'trips-slow';
const STREAMED = 2000;
const WAITING = 'assay_monitoring_waiting_rows';

async function withClients<T>(use: (clients: Clients) => Promise<T>): Promise<T> {
  await using clients = await openClients();
  return await use(clients);
}

/** The outputs of all RECORDS by an endpoint, and the version that gave them. */
export async function scoreAll(endpoint: string): Promise<{ versionId: string; outputs: unknown[]; ids: string[] }> {
  await using scoring = createScoringClient({ url: await urlOf('inference'), bearerToken: await adminKey() });
  const { versionId, predictions } = await scoring.score(endpoint, RECORDS);
  return { versionId, outputs: predictions.map(({ outputs }) => outputs), ids: predictions.map(({ id }) => id) };
}

/** Until the endpoint is answered by that version. */
export function untilServed(endpoint: string, versionId: string): Promise<void> {
  return until(`version ${versionId} at ${endpoint}`, 60_000, () =>
    scoreAll(endpoint).then(
      (scored) => scored.versionId === versionId,
      () => false,
    ),
  );
}

/** A metric without labels, as the service shows it now. */
async function metricOf(service: 'monitoring', name: string): Promise<number> {
  const headers = { authorization: `Bearer ${await adminKey()}` };
  const response = await fetch(`${await urlOf(service)}/metrics`, { headers, signal: AbortSignal.timeout(10_000) });
  const value = new RegExp(`^${name} (\\S+)$`, 'm').exec(await response.text())?.[1];
  check(value !== undefined, `${service} has no metric ${name}`);
  return Number(value);
}

/** The end of a job; what went wrong is the error. */
async function ended<J extends Job | BatchJob>(follow: AsyncIterable<J>): Promise<J> {
  let last: J | undefined;
  for await (last of follow);
  check(last?.state === 'succeeded', `the job is ${last?.state}: ${JSON.stringify(last?.failure)}`);
  return last;
}

/** The pods of a job: the launcher names the launch on them. */
async function podsOf(jobId: string): Promise<{ node: string | undefined; image: string | undefined }[]> {
  const pods = await list('pods', JOBS_NAMESPACE);
  return pods
    .filter(({ metadata }) => metadata.annotations?.['assay.dev/launch']?.startsWith(`${jobId}.`))
    .map(({ spec }) => {
      const { nodeName, containers } = spec as { nodeName?: string; containers: { image: string }[] }; // a PodSpec
      return { node: nodeName, image: containers[0]?.image };
    });
}

export async function train(more: Parameters<typeof specOf>[0]): Promise<Job> {
  return withClients(async ({ training }) => {
    const { id } = await training.createJob({ spec: specOf(more) });
    return ended<Job>(training.followJob(id, { signal: AbortSignal.timeout(JOB_MS) }));
  });
}

export const besideStep: Step = {
  name: 'PostgreSQL, Kafka and an object store are beside the cluster',
  async run({ made, tell, defer }) {
    const beside = await startInfrastructure();
    defer(async () => beside[Symbol.asyncDispose]());
    const { [Symbol.asyncDispose]: _, ...plain } = beside;
    made.beside = JSON.stringify(plain);
    tell('broker', beside.broker);
    // Of a run that was kept: its databases are gone.
    for (const namespace of [NAMESPACE, JOBS_NAMESPACE]) {
      await kubectl(['delete', 'namespace', namespace, '--ignore-not-found', '--wait=true', '--timeout=120s']);
    }
  },
};

export const distributedSteps: readonly Step[] = [
  {
    name: 'every service apart is installed, under PodSecurity restricted, and becomes ready',
    async run(context) {
      await kubectl(['create', 'namespace', NAMESPACE]);
      await kubectl(['label', 'namespace', NAMESPACE, 'pod-security.kubernetes.io/enforce=restricted']);
      const beside = besideOf(context);
      await createSecrets(beside);
      await install(beside, { tag: needed(context, 'tag'), streaming: false });
      const names = (await list('pods', NAMESPACE)).map(({ metadata }) => metadata.name.replace(/-[^-]+-[^-]+$/, ''));
      const expected = ['batch', 'inference', 'inference', 'monitoring', 'registry', 'registry', 'training'];
      check(names.sort().join() === expected.map((name) => `${RELEASE}-${name}`).join(), `the pods are ${names}`);
    },
  },
  {
    name: 'helm test registers a model and scores it, every service apart',
    async run() {
      await helm(['test', RELEASE, '--namespace', NAMESPACE, '--timeout=3m']);
    },
  },
  {
    name: 'a dataset is uploaded from the command line',
    async run({ tell }) {
      const dir = await mkdtemp(join(tmpdir(), 'assay-trips-'));
      try {
        const file = join(dir, 'trips.csv');
        await writeTrips(file);
        const words = ['datasets', 'add', DATASET, file, '--registry', await urlOf('registry')];
        await run('tools/node', [join(ROOT, 'cli', 'bin', 'assay.mjs'), ...words], {
          env: { ASSAY_API_KEY: await adminKey() },
        });
      } finally {
        await rm(dir, { recursive: true });
      }
      const { version, rows } = await withClients(({ registry }) => registry.getDatasetVersion(DATASET));
      tell('rows', rows);
      check(version === 1 && rows === 4000, `version ${version} with ${rows} rows`);
    },
  },
  {
    name: 'a job that asks for a GPU is put on the GPU pool, and one that asks for more than a node has waits with the reason',
    async run({ tell }) {
      const onGpus = { trainer: { name: 'xgboost', rounds: 10, device: 'cuda' } } as const;
      await withClients(async ({ training }) => {
        const one = await training.createJob({ spec: specOf({ ...onGpus, resources: { gpus: 1 } }) });
        await until('its pod is scheduled', 60_000, async () =>
          (await podsOf(one.id)).some(({ node }) => node !== undefined),
        );
        // Another attempt follows: on the simulated node the pod is said to be done, and nothing has run.
        const [pod] = await podsOf(one.id);
        tell('of the job that asks for a GPU', `${pod?.image} on ${pod?.node}`);
        check(pod?.node === 'gpu-1', `it is on ${pod?.node}`);
        check(pod.image?.includes('/training-gpu:') === true, `it runs ${pod.image}`);
        await training.cancelJob(one.id);
        const many = await training.createJob({ spec: specOf({ ...onGpus, resources: { gpus: 1, cpu: 64 } }) });
        let words = '';
        await until('the scheduler says why it waits', 60_000, async () => {
          words = (await training.getJob(many.id)).progress?.message ?? '';
          return /Insufficient cpu/.test(words);
        });
        tell('while it waits', words);
        await training.cancelJob(many.id);
        await until('both have ended', 60_000, async () => {
          const states = await Promise.all([one, many].map(async ({ id }) => (await training.getJob(id)).state));
          return states.every((state) => state === 'cancelled' || state === 'failed');
        });
      });
    },
  },
  {
    name: 'a training job runs in a pod off the GPU pool, and its version is registered and served',
    async run({ made, tell }) {
      const job = await train({ register: { alias: 'champion' } });
      const nodes = (await podsOf(job.id)).map(({ node }) => node);
      check(nodes.join() === 'assay-node', `its pods were on ${nodes.join()}`);
      tell('auc', job.result?.metrics.auc ?? 0);
      check(job.dataset?.datasetName === DATASET, `its dataset is ${JSON.stringify(job.dataset)}`);
      made.first = job.result?.versionId ?? '';
      await untilServed(MODEL, made.first);
    },
  },
  {
    name: 'stream scoring, switched on by an upgrade, gives for each record what REST gives, exactly once',
    async run(context) {
      const beside = besideOf(context);
      await createTopics(beside.broker, PIPELINE);
      await install(beside, { tag: needed(context, 'tag'), streaming: true });
      const load = await startPipelineLoad({
        broker: beside.broker,
        topic: PIPELINE.input,
        records: RECORDS,
        perSecond: 200,
      });
      const { versionId, outputs } = await scoreAll(MODEL);
      await until('some thousand records are sent', 60_000, async () => load.sent >= STREAMED);
      context.tell('records', await load.stop());
      check(versionId === needed(context, 'first'), `REST answers with ${versionId}`);
      await judgePipeline({ broker: beside.broker, pipeline: PIPELINE, records: RECORDS, outputsOf: () => outputs });
    },
  },
  {
    name: 'a batch job takes a dataset and leaves a dataset, as many rows as it took',
    async run({ tell }) {
      await withClients(async ({ batch, registry }) => {
        const spec = { model: MODEL, input: { dataset: DATASET }, output: { dataset: SCORES } };
        const { id } = await batch.createJob({ spec });
        const job = await ended<BatchJob>(batch.followJob(id, { signal: AbortSignal.timeout(JOB_MS) }));
        const nodes = (await podsOf(id)).map(({ node }) => node);
        check(nodes.join() === 'assay-node', `its pods were on ${nodes.join()}`);
        const { rows, parents } = await registry.getDatasetVersion(SCORES);
        tell('rows out', rows);
        check(job.result?.rowsIn === 4000 && rows === 4000, `${job.result?.rowsIn} rows in, ${rows} out`);
        const source = await registry.getDatasetVersion(DATASET);
        check(parents.includes(source.id), `the lineage is ${JSON.stringify(parents)}`);
      });
    },
  },
  {
    name: 'a prediction is found and replays to the same bits when the pod that logged it is gone',
    async run({ tell }) {
      const { ids } = await scoreAll(MODEL);
      await withClients(async ({ monitoring }) => {
        const found = () =>
          Promise.all(ids.map((id) => monitoring.getPrediction(id))).then(
            () => true,
            () => false,
          );
        await until('the predictions are logged', 60_000, found);
        await until('they are in files', 60_000, async () => (await metricOf('monitoring', WAITING)) === 0);
        tell('files in the object store', await metricOf('monitoring', 'assay_monitoring_files'));
        const selector = 'app.kubernetes.io/component=monitoring';
        await kubectl(['-n', NAMESPACE, 'delete', 'pod', '--selector', selector, '--wait=true', '--timeout=90s']);
        await kubectl(['-n', NAMESPACE, 'rollout', 'status', `deployment/${RELEASE}-monitoring`, '--timeout=120s']);
        await until('the predictions are still there', 60_000, found);
        const replay = await monitoring.replay(ids[0] ?? '');
        check(replay.same, `it differs: ${JSON.stringify(replay.differences)}`);
      });
    },
  },
];
