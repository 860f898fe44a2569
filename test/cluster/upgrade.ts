/** The upgrade of a distributed installation while everything is in use. */
import { kubectl, list } from './cluster.ts';
import { scoreAll, train, untilServed } from './distributed.ts';
import {
  adminKey,
  besideOf,
  install,
  NAMESPACE,
  openClients,
  PIPELINE,
  RELEASE,
  rollback,
  urlOf,
} from './installation.ts';
import { judgePipeline, startPipelineLoad } from './pipeline-load.ts';
import { startLoad } from './scoring-load.ts';
import { check, needed, type Step, until } from './step.ts';
import { MODEL, RECORDS } from './trips.ts';

const LOAD_SECONDS = 60;
const CLIENTS = 16;
const RECORDS_PER_SECOND = 200;

/** Kills a pod as a node that is lost does: no drain, no goodbye. */
async function killOne(component: string): Promise<string> {
  const ready = (await list('pods', NAMESPACE, `app.kubernetes.io/component=${component}`)).filter(({ status }) => {
    const conditions = status?.conditions as readonly { type: string; status: string }[] | undefined; // a PodStatus
    return conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True');
  });
  const name = ready[0]?.metadata.name;
  check(name !== undefined, `there is no ready pod of ${component}`);
  await kubectl(['-n', NAMESPACE, 'delete', 'pod', name, '--grace-period=0', '--force']);
  return name;
}

/** Until all pods of the two are ready again. */
async function untilReplaced(): Promise<void> {
  for (const component of ['inference', 'streaming']) {
    const deployment = `deployment/${RELEASE}-${component}`;
    await kubectl(['-n', NAMESPACE, 'rollout', 'status', deployment, '--timeout=120s'], { timeoutMs: 150_000 });
  }
}

/** Until all pods run images of that tag: those before drain for some seconds after helm has said that it is done. */
async function untilImages(tag: string): Promise<void> {
  for (const component of ['registry', 'inference', 'streaming', 'training', 'batch', 'monitoring']) {
    await until(`${component} runs the images of ${tag} alone`, 60_000, async () => {
      const images = await imagesOf(component);
      return images.endsWith(`:${tag}`) && !images.includes(' ');
    });
  }
}

async function imagesOf(component: string): Promise<string> {
  const template = '{range .items[*]}{.spec.containers[0].image}{"\\n"}{end}';
  const selector = `app.kubernetes.io/component=${component}`;
  const text = await kubectl(['-n', NAMESPACE, 'get', 'pods', '--selector', selector, '-o', `jsonpath=${template}`]);
  return [...new Set(text.trim().split('\n'))].join(' ');
}

export const upgradeSteps: readonly Step[] = [
  {
    name: 'an upgrade to another image and another model, under load and with replicas killed: no request fails, no record is lost or doubled',
    async run(context) {
      const { tell } = context;
      const beside = besideOf(context);
      const first = await scoreAll(MODEL);
      const job = await train({ trainer: { name: 'lightgbm', rounds: 60 } });
      const second = job.result?.versionId ?? '';
      await using clients = await openClients();
      const { registry } = clients;
      // At an endpoint of its own, so that what it answers is known before it is needed.
      await registry.putEndpoint('trips-next', {
        expectedRevision: 0,
        variants: [{ versionId: second, weight: 10_000 }],
      });
      await untilServed('trips-next', second);
      const next = await scoreAll('trips-next');
      check(JSON.stringify(next.outputs) !== JSON.stringify(first.outputs), 'both versions answer the same');
      const outputs = new Map([first, next].map((scored) => [scored.versionId, scored.outputs]));
      const seen: Record<string, number> = {};

      const load = startLoad({
        url: `${await urlOf('inference')}/v1/endpoints/${MODEL}/score`,
        key: await adminKey(),
        body: JSON.stringify({ records: RECORDS }),
        clients: CLIENTS,
        pauseMs: 20,
        judge(answer) {
          const { versionId, predictions } = JSON.parse(answer) as {
            versionId: string;
            predictions: { outputs: unknown }[];
          }; // a ScoreResponse
          seen[versionId] = (seen[versionId] ?? 0) + 1;
          const got = JSON.stringify(predictions.map((prediction) => prediction.outputs));
          return got === JSON.stringify(outputs.get(versionId))
            ? undefined
            : `other outputs than those of ${versionId}`;
        },
      });
      const moveWhileUpgrading = async (): Promise<void> => {
        const { revision } = await registry.getAlias(MODEL, 'champion');
        await registry.moveAlias(MODEL, 'champion', { version: second, expectedRevision: revision });
        await until('the other version answers', 60_000, async () => (seen[second] ?? 0) > 200);
      };
      const stream = await startPipelineLoad({
        broker: beside.broker,
        topic: PIPELINE.input,
        records: RECORDS,
        perSecond: RECORDS_PER_SECOND,
      });
      const beganMs = performance.now();
      const secondsSince = (fromMs: number): number => Math.round((performance.now() - fromMs) / 1000);
      try {
        await until('some answers of the first version', 30_000, async () => load.answered > 500);
        const upgraded = install(beside, { tag: needed(context, 'nextTag'), streaming: true, maxBatchRows: 64 });
        const [moved] = await Promise.allSettled([moveWhileUpgrading(), upgraded]);
        await upgraded;
        if (moved.status === 'rejected') throw moved.reason;
        tell('seconds of the upgrade', secondsSince(beganMs));
        await untilImages(needed(context, 'nextTag'));
        // Pods that drain break no connection: nothing had to be sent again until here.
        check(Object.keys(load.repeated).length === 0, `sent again: ${JSON.stringify(load.repeated)}`);
        tell('killed', `${await killOne('inference')} ${await killOne('streaming')}`);
        await untilReplaced();
        const rollbackMs = performance.now();
        const rolledBack = rollback();
        tell('killed while it was rolled back', `${await killOne('inference')} ${await killOne('streaming')}`);
        await rolledBack;
        tell('seconds of the rollback', secondsSince(rollbackMs));
        await untilImages(needed(context, 'tag'));
        const enough = async (): Promise<boolean> => performance.now() - beganMs > LOAD_SECONDS * 1000;
        await until('a minute of load', LOAD_SECONDS * 1000, enough);
      } finally {
        const [report, sent] = await Promise.all([load.stop(), stream.stop()]);
        tell('seconds under load', Math.round(report.seconds));
        tell('requests answered', report.answered);
        tell('latency ms', JSON.stringify(report.latencyMs));
        tell('sent again over a new connection', JSON.stringify(report.repeated));
        tell('failed', JSON.stringify(report.failed));
        tell('answered by version', JSON.stringify(seen));
        tell('records sent', sent);
        check(Object.keys(report.failed).length === 0, `requests failed: ${JSON.stringify(report.failed)}`);
        check(report.seconds >= LOAD_SECONDS, `the load was on for ${report.seconds} s`);
      }
      check((seen[first.versionId] ?? 0) > 0 && (seen[second] ?? 0) > 0, `answers came from ${JSON.stringify(seen)}`);
      const verdict = await judgePipeline({
        broker: beside.broker,
        pipeline: PIPELINE,
        records: RECORDS,
        outputsOf: (versionId) => outputs.get(versionId) ?? [],
      });
      tell('records by version', JSON.stringify(verdict.byVersion));
      check(Object.keys(verdict.byVersion).length === 2, 'only one version scored records');
    },
  },
];
