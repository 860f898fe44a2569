/** The secrets of the installation, searched for in everything that it writes or shows after it was used. */
import { readdir, readFile } from 'node:fs/promises';
import { readCommitted } from '../kafka/checker.ts';
import { connect } from '../kafka/streams.ts';
import { kubectl, list } from './cluster.ts';
import { adminKey, besideOf, type Installed, JOBS_NAMESPACE, NAMESPACE, RELEASE, urlOf } from './installation.ts';
import { check, type Step } from './step.ts';

/** What must not be seen, by what it is. */
async function secretsOf({ databaseUrls }: Installed): Promise<ReadonlyMap<string, string>> {
  const text = await kubectl(['-n', NAMESPACE, 'get', 'secret', `${RELEASE}-keys`, '-o', 'jsonpath={.data}']);
  const keys = Object.entries(JSON.parse(text) as Record<string, string>).map(([holder, encoded]): [string, string] => [
    `the key of ${holder}`,
    // Its id is no secret: the rest is.
    Buffer.from(encoded, 'base64').toString('utf8').slice(-43),
  ]);
  return new Map([...keys, ['the password of PostgreSQL', new URL(databaseUrls.registry).password]]);
}

async function objectsOfCluster(): Promise<string> {
  const kinds = 'pods,jobs,deployments,replicasets,configmaps,services,events,networkpolicies,serviceaccounts';
  return kubectl(['get', kinds, '--all-namespaces', '--output=json']);
}

async function logsOfPods(): Promise<string> {
  const texts: string[] = [];
  for (const namespace of [NAMESPACE, JOBS_NAMESPACE]) {
    for (const { metadata, spec } of await list('pods', namespace)) {
      if (spec?.nodeName !== 'assay-node') continue; // the simulated node runs nothing
      texts.push(await kubectl(['-n', namespace, 'logs', metadata.name, '--all-containers', '--tail=-1']));
    }
  }
  return texts.join('\n');
}

/** Values and headers of every record of every topic. */
async function recordsOfKafka(broker: string): Promise<string> {
  const admin = (await connect(broker)).admin();
  await admin.connect();
  const topics = (await admin.listTopics()).filter((topic) => !topic.startsWith('__'));
  await admin.disconnect();
  const found = await readCommitted(broker, topics, (all) => all.length > 0, { timeoutMs: 120_000, quietMs: 3000 });
  check(
    topics.includes('assay.predictions.v1') && topics.includes('assay.models.v1'),
    `the topics are ${topics.join()}`,
  );
  return found.map(({ headers, value }) => `${JSON.stringify(headers)} ${String(value)}`).join('\n');
}

async function metricsOfServices(): Promise<string> {
  const headers = { authorization: `Bearer ${await adminKey()}` };
  const texts: string[] = [];
  for (const service of ['registry', 'inference', 'training', 'batch', 'monitoring'] as const) {
    const response = await fetch(`${await urlOf(service)}/metrics`, { headers, signal: AbortSignal.timeout(10_000) });
    check(response.ok, `${service} answers ${response.status}`);
    texts.push(await response.text());
  }
  return texts.join('\n');
}

/** Of all processes of this machine, those in pods included. */
async function commandLines(): Promise<string> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  return (await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')))).join('\n');
}

export const plantedKeysStep: Step = {
  name: 'keys and passwords are in no object, log, record, metric or command line',
  async run(context) {
    const beside = besideOf(context);
    const secrets = await secretsOf(beside);
    const places: Readonly<Record<string, { readonly text: string; readonly holds: string }>> = {
      objects: { text: await objectsOfCluster(), holds: `${RELEASE}-inference` },
      logs: { text: await logsOfPods(), holds: 'listens' },
      records: { text: await recordsOfKafka(beside.broker), holds: 'assay-prediction-id' },
      metrics: { text: await metricsOfServices(), holds: 'assay_inference_requests_total' },
      'command lines': { text: await commandLines(), holds: 'services-inference-inference.mjs' },
    };
    for (const [place, { text, holds }] of Object.entries(places)) {
      check(text.includes(holds), `${place} were not read: ${holds} is not in them`);
      const found = [...secrets].filter(([, secret]) => text.includes(secret)).map(([what]) => what);
      check(found.length === 0, `${found.join(', ')} can be read in the ${place}`);
      context.tell(`${place}, characters`, text.length);
    }
  },
};
