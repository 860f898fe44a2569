/** The distributed installation of the run: its values, its Secrets, and the services as a client calls them. */
import { createBatchClient, createMonitoringClient, createRegistryClient, createTrainingClient } from '@assay/client';
import { CHART, helm, kubectl, secret, serviceUrl } from './cluster.ts';
import { HOST, type Infrastructure } from './infrastructure.ts';
import { needed, type StepContext } from './step.ts';

export const NAMESPACE = 'assay-many';
export const JOBS_NAMESPACE = `${NAMESPACE}-jobs`;
export const RELEASE = 'assay';
/** Stream scoring of the run: `streaming.enabled` comes with the second version of the values. */
export const PIPELINE = {
  name: 'trips',
  endpoint: 'trips',
  input: 'trips',
  output: 'trips-scored',
  deadLetters: 'trips-dead',
} as const;

const DATABASE_SECRET = 'assay-database';
const BLOBS_SECRET = 'assay-blobs';
const HERE = [`${HOST}/32`];
/** The node, and the Service of its API server. */
const API_SERVER = ['10.231.0.2/32', '10.233.0.1/32'];
/** All of it runs on one machine of a few cores: what is reserved is little, what may be used is as the chart has it. */
const SMALL = { resources: { requests: { cpu: '20m', memory: '64Mi' } } };

export interface Wanted {
  readonly tag: string;
  readonly streaming: boolean;
  /** Settings of inference that the upgrade changes. */
  readonly maxBatchRows?: number;
}

/** What a person would write into a values file. */
function valuesOf(beside: Installed, { tag, streaming, maxBatchRows }: Wanted): Readonly<Record<string, unknown>> {
  return {
    mode: 'distributed',
    image: { registry: 'localhost', tag, pullPolicy: 'Never' },
    // This machine calls the services as an application outside the namespace does.
    networkPolicy: { clients: [{ podSelector: {} }, { ipBlock: { cidr: `${HOST}/32` } }] },
    database: { existingSecret: DATABASE_SECRET, port: beside.postgresPort, cidrs: HERE },
    kafka: { brokers: [beside.broker], cidrs: HERE },
    blobs: {
      url: beside.blobsUrl,
      existingSecret: BLOBS_SECRET,
      port: beside.blobsPort,
      cidrs: HERE,
    },
    gpu: { preset: 'generic' },
    jobs: {
      createNamespace: true,
      resources: { requests: { cpu: '100m', memory: '256Mi' }, limits: { memory: '2Gi' } },
      apiServer: { cidrs: API_SERVER },
    },
    registry: { replicas: 2, ...SMALL },
    inference: { replicas: 2, autoscaling: { enabled: false }, ...SMALL },
    streaming: { enabled: streaming, replicas: 2, pipelines: streaming ? [PIPELINE] : [], ...SMALL },
    training: SMALL,
    batch: SMALL,
    monitoring: SMALL,
    config: {
      // Soon in files, so that what a pod left is read from the object store.
      monitoring: { rollAfterMs: 1000 },
      ...(maxBatchRows === undefined ? {} : { inference: { maxBatchRows } }),
    },
  };
}

/** What the installation needs to know of what is beside the cluster; plain text, kept between steps. */
export type Installed = Omit<Infrastructure, typeof Symbol.asyncDispose>;

/** What an earlier step of the run started beside the cluster. */
export function besideOf(context: StepContext): Installed {
  return JSON.parse(needed(context, 'beside')); // written from Infrastructure
}

/** The Secrets that an operator makes before the first installation. */
export async function createSecrets({ databaseUrls, blobCredentials }: Installed): Promise<void> {
  for (const [name, data] of [
    [DATABASE_SECRET, databaseUrls],
    [BLOBS_SECRET, blobCredentials],
  ] as const) {
    const object = { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: NAMESPACE }, stringData: data };
    await kubectl(['apply', '-f', '-'], { input: JSON.stringify(object) });
  }
}

/** Installs or upgrades, and waits until every Deployment has what it should. */
export function install(beside: Installed, wanted: Wanted): Promise<string> {
  const parameters = ['upgrade', '--install', RELEASE, CHART, '--namespace', NAMESPACE, '--wait', '--timeout=5m'];
  const input = JSON.stringify(valuesOf(beside, wanted));
  return helm([...parameters, '--values', '-'], { input, timeoutMs: 6 * 60_000 });
}

/** To the revision before, which helm keeps. */
export function rollback(): Promise<string> {
  return helm(['rollback', RELEASE, '--namespace', NAMESPACE, '--wait', '--timeout=5m'], { timeoutMs: 6 * 60_000 });
}

export function uninstall(): Promise<string> {
  return helm(['uninstall', RELEASE, '--namespace', NAMESPACE, '--wait', '--timeout=3m'], { timeoutMs: 4 * 60_000 });
}

const PORTS = { registry: 8101, inference: 8102, training: 8103, batch: 8104, monitoring: 8105 } as const;

export function urlOf(service: keyof typeof PORTS): Promise<string> {
  return serviceUrl(NAMESPACE, `${RELEASE}-${service}`, PORTS[service]);
}

export function adminKey(): Promise<string> {
  return secret(NAMESPACE, `${RELEASE}-keys`, 'admin');
}

export interface Clients extends AsyncDisposable {
  readonly registry: ReturnType<typeof createRegistryClient>;
  readonly training: ReturnType<typeof createTrainingClient>;
  readonly batch: ReturnType<typeof createBatchClient>;
  readonly monitoring: ReturnType<typeof createMonitoringClient>;
}

/** As the administrator. */
export async function openClients(): Promise<Clients> {
  const bearerToken = await adminKey();
  await using opened = new AsyncDisposableStack();
  const clients = {
    registry: opened.use(createRegistryClient({ url: await urlOf('registry'), bearerToken })),
    training: opened.use(createTrainingClient({ url: await urlOf('training'), bearerToken })),
    batch: opened.use(createBatchClient({ url: await urlOf('batch'), bearerToken })),
    monitoring: opened.use(createMonitoringClient({ url: await urlOf('monitoring'), bearerToken })),
  };
  const all = opened.move();
  return { ...clients, [Symbol.asyncDispose]: () => all.disposeAsync() };
}
