/**
 * The schema of the chart's values, from which `generate.ts` writes values.schema.json and the table of README.md. Each
 * mode has its own set of keys and refuses every other; the settings under `config` are those that the services declare.
 */
import { batchConfig } from '@assay/batch';
import { inferenceConfig } from '@assay/inference';
import { kafkaConfig } from '@assay/kafka';
import { monitoringConfig } from '@assay/monitoring';
import { registryConfig } from '@assay/registry';
import type { ConfigDefinition } from '@assay/runtime';
import { standaloneConfig } from '@assay/standalone';
import { trainingConfig } from '@assay/training';
import { flag, list, oneOf, ref, type Schema, strict, strings, text, whole } from './json-schema.ts';

const OBJECT_NAME = '^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$';
const secretName = (description: string): Schema => text(description, { pattern: OBJECT_NAME });
const cidrs = (what: string): Schema =>
  list(`Where ${what} ${what === 'they' ? 'are' : 'is'}, for the NetworkPolicy. Without it: anywhere, at that port.`, {
    type: 'string',
    pattern: '^[0-9a-fA-F:.]+/[0-9]{1,3}$',
  });

/** What the chart sets itself, in templates/_settings.tpl, or what has no meaning in a pod. */
const SET_BY_CHART =
  /^(host|port|grpcPort|dataDir|cacheDir|databaseUrl|blobsUrl|eventsUrl|registryUrl|drainDelayMs|closeTimeoutMs|logLevel|lightgbmLibrary|xgboostLibrary|libraryCacheDir|launcher|jobsFile|publicUrl|pipelinesFile|registryPipelines|provider|bootstrapKeysDir|auditKeyFile|webhookKeyFile|keys|trainExample|brokers|tls.*|sasl.*)$/;

/** The settings of a service that may be under `config`. */
function settingsOf(definition: ConfigDefinition): Schema {
  const properties: Record<string, Schema> = {};
  for (const [key, { schema, description, secret }] of Object.entries(definition.settings)) {
    if (secret || SET_BY_CHART.test(key)) continue;
    properties[key] = { ...JSON.parse(JSON.stringify(schema)), description }; // TypeBox keeps only its own marks elsewhere
  }
  return strict(`Settings of ${definition.section}; docs/reference/config.md explains each.`, properties);
}

const SERVICES: readonly ConfigDefinition[] = [
  registryConfig,
  inferenceConfig,
  trainingConfig,
  batchConfig,
  monitoringConfig,
];
const STANDALONE = [standaloneConfig, ...SERVICES];
const DISTRIBUTED = [...SERVICES, kafkaConfig];

/** Values of every component, in the order of the table. */
const placement: Record<string, Schema> = {
  nodeSelector: strings('Labels of the nodes that its pods may run on.'),
  tolerations: ref('Taints that its pods tolerate.', 'tolerations'),
  affinity: ref('Affinity of its pods, as Kubernetes has it.', 'kubernetes'),
  podAnnotations: strings('Annotations of its pods.'),
};
const times: Record<string, Schema> = {
  drainDelaySeconds: whole(
    'How long a pod that stops goes on accepting, so that clients and load balancers learn of it.',
    0,
    600,
  ),
  closeTimeoutSeconds: whole('How long its requests in flight may take after that.', 1, 3000),
  terminationGracePeriodSeconds: whole(
    'When Kubernetes kills the pod; at least the two above and 5 more, which the chart checks.',
    6,
    3600,
  ),
};
const component = (what: string, more: Record<string, Schema> = {}): Schema =>
  strict(what, {
    ...more,
    resources: ref('Requests and limits of the container.', 'resources'),
    ...times,
    ...placement,
    serviceAccountAnnotations: strings('Annotations of its ServiceAccount: the identity that a cloud gives its pods.'),
  });
const replicas = whole('Pods; not read while autoscaling is on.', 1, 1000);
const enabled = (what: string): Schema => flag(`Whether ${what}.`);
const budget = ref('How many of its pods a node drain may take at a time.', 'podDisruptionBudget');
const service = ref('Its Service.', 'service');
const grpc = ref('gRPC.', 'grpc');
const autoscaling = ref('A HorizontalPodAutoscaler by CPU.', 'autoscaling');
const cache = ref('How much its cache of packages may take on the node.', 'quantity');

function common(config: Schema): Record<string, Schema> {
  return {
    global: { description: "Helm's own; not read.", type: 'object' },
    mode: { description: '`standalone` or `distributed`.', type: 'string', enum: ['standalone', 'distributed'] },
    fullnameOverride: text("In front of every object's name, instead of the release's.", {
      pattern: '^([a-z]([-a-z0-9]{0,38}[a-z0-9])?)?$',
    }),
    image: strict('REGISTRY/REPOSITORY/SERVICE:TAG, one image a service.', {
      registry: text('Host of the image registry.'),
      repository: text('Path in it.', { minLength: 1 }),
      tag: text("Default: the chart's appVersion. Never `latest`.", {
        pattern: '^([a-zA-Z0-9_][a-zA-Z0-9._-]{0,127})?$',
      }),
      pullPolicy: oneOf('When the kubelet asks the registry.', ['IfNotPresent', 'Always', 'Never']),
      pullSecrets: list('Names of Secrets for the registry.', text('', { minLength: 1 })),
    }),
    logLevel: oneOf('Of every service.', ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']),
    config,
    keys: strict('API keys of the services and of the first administrator.', {
      existingSecret: secretName(
        'A Secret with entries `admin`, `inference`, `training`, `batch`, `monitoring` and `metrics` (what Prometheus shows). Without it the chart makes one, once.',
      ),
    }),
    networkPolicy: strict('Deny all, then allow the flows of docs/architecture.md.', {
      enabled: enabled('there are NetworkPolicies'),
      clients: list('Who may call the services: NetworkPolicy peers.', { $ref: '#/$defs/kubernetes' }, { minItems: 1 }),
      prometheus: list('Who may read /metrics besides: NetworkPolicy peers.', { $ref: '#/$defs/kubernetes' }),
      webhooks: strict('Where the registry may post webhooks to; without peers nowhere.', {
        peers: list('The receivers, or the whole internet but your own networks: NetworkPolicy peers.', {
          $ref: '#/$defs/kubernetes',
        }),
        ports: list('Their ports.', whole('', 1, 65_535), { minItems: 1 }),
      }),
    }),
    metrics: strict('What Prometheus and Grafana pick up.', {
      serviceMonitor: strict('A ServiceMonitor (Prometheus operator).', {
        enabled: enabled('there is one'),
        intervalSeconds: whole('How often it is scraped.', 1, 3600),
        labels: strings('Labels that your Prometheus selects by.'),
      }),
      alerts: strict('A PrometheusRule.', {
        enabled: enabled('there is one'),
        labels: strings('Labels that your Prometheus selects by.'),
        latencySeconds: { description: 'p99 of the scoring requests of an endpoint.', type: 'number', minimum: 0.0001 },
        errorRatio: { description: 'Share of scoring requests that fail.', type: 'number', minimum: 0, maximum: 1 },
        lagSeconds: { description: 'Age of unpublished events, and of routing.', type: 'number', minimum: 1 },
        lagRecords: whole('Records that a pipeline is behind.', 1, 1_000_000_000),
        failedJobRatio: {
          description: 'Share of training or batch jobs that fail.',
          type: 'number',
          minimum: 0,
          maximum: 1,
        },
      }),
      dashboard: strict('A ConfigMap with a Grafana dashboard.', {
        enabled: enabled('there is one'),
        labels: strings("Labels that Grafana's sidecar looks for."),
      }),
    }),
    tests: strict('`helm test`.', { enabled: enabled('there is a pod that scores, for `helm test`') }),
  };
}

const standalone: Record<string, Schema> = {
  standalone: strict('The one pod.', {
    resources: ref('Requests and limits of the container.', 'resources'),
    storage: strict('The volume with databases, packages and caches.', {
      size: ref('Of the claim.', 'quantity'),
      className: text("Default: the cluster's default class."),
      existingClaim: secretName('A claim that is there already; size and className are then not used.'),
      whenDeleted: oneOf('What becomes of the claim when the release is uninstalled.', ['Retain', 'Delete']),
    }),
    grpc,
    service,
    ...times,
    ...placement,
  }),
};

const distributed: Record<string, Schema> = {
  registry: component('Models, versions, aliases, endpoints, keys, audit.', {
    replicas,
    podDisruptionBudget: budget,
    audit: strict('Signed checkpoints of the audit trail.', {
      existingSecret: secretName(
        'A Secret with `audit-key.pem`, the private Ed25519 key that signs checkpoints. Without it none are made.',
      ),
    }),
    webhooks: strict('Webhooks; networkPolicy.webhooks says where they may go.', {
      existingSecret: secretName(
        'A Secret with `webhook-key`, which seals the secrets of webhooks in the database. Without it no webhooks can be made.',
      ),
    }),
  }),
  inference: component('Scoring: REST and gRPC.', {
    replicas,
    grpc,
    autoscaling,
    cacheSizeLimit: cache,
    podDisruptionBudget: budget,
    service,
  }),
  inferenceGpu: component('Scoring on the GPU pool, with a Service of its own.', {
    enabled: enabled('it runs'),
    grpc,
    replicas: whole('Pods.', 1, 1000),
    gpus: whole('GPUs a pod.', 1, 16),
    cacheSizeLimit: cache,
    podDisruptionBudget: budget,
    service,
  }),
  streaming: component('Stream scoring: Kafka in, Kafka out.', {
    enabled: enabled('it runs'),
    replicas,
    pipelines: list('What is scored. Empty: the pipelines that the registry keeps.', { $ref: '#/$defs/pipeline' }),
    autoscaling,
    cacheSizeLimit: cache,
    podDisruptionBudget: budget,
  }),
  training: component('The training service; its jobs are pods of their own.'),
  batch: component('The batch service; its jobs are pods of their own.', { enabled: enabled('it runs') }),
  monitoring: component('The prediction log.', { enabled: enabled('it runs') }),
  jobs: strict('Where the jobs of training and batch run.', {
    namespace: secretName("Their namespace. Default: the release's with `-jobs`."),
    createNamespace: enabled('the chart makes the namespace'),
    quota: ref('Hard limits of a ResourceQuota there.', 'quantities'),
    queueName: secretName('A Kueue LocalQueue that starts the jobs.'),
    resources: ref('Of a job that asks for nothing.', 'resources'),
    ttlSecondsAfterFinished: whole('How long a finished Job and its pods are kept.', 60, 604_800),
    apiServer: strict('The API server, for the NetworkPolicy of what makes jobs.', {
      cidrs: cidrs('it'),
      ports: list('Its ports, before and after the translation of its Service.', whole('', 1, 65_535), { minItems: 1 }),
    }),
    nodeSelector: strings('Labels of the nodes that jobs may run on.'),
    tolerations: ref('Taints that jobs tolerate.', 'tolerations'),
  }),
  gpu: strict('The pool that jobs which ask for a GPU, and inferenceGpu, are put on.', {
    preset: oneOf('Whose labels and taints: `generic` are those of the GPU operator.', [
      'none',
      'generic',
      'aks',
      'eks',
      'eks-karpenter',
      'gke',
    ]),
    accelerator: text("The pool's kind of GPU, as the preset's label spells it."),
    nodeSelector: strings('Added to those of the preset.'),
    tolerations: ref('Added to those of the preset.', 'tolerations'),
  }),
  database: strict(
    'PostgreSQL, a schema or database a service.',
    {
      existingSecret: text('A Secret with a URL a service: `registry`, `training`, `batch`, `monitoring`.', {
        pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$',
      }),
      port: whole('Its port, for the NetworkPolicy.', 1, 65_535),
      cidrs: cidrs('it'),
    },
    ['existingSecret'],
  ),
  kafka: strict(
    'The brokers.',
    {
      brokers: list(
        '`host:port` of some brokers.',
        { type: 'string', pattern: '^[A-Za-z0-9._-]+:[0-9]{1,5}$' },
        { minItems: 1 },
      ),
      tls: strict('', {
        enabled: enabled('the brokers speak TLS'),
        caSecret: secretName('A Secret with `ca.crt`, for an authority that is not public.'),
      }),
      sasl: strict('', {
        mechanism: oneOf('None when empty.', ['', 'plain', 'scram-sha-256', 'scram-sha-512']),
        existingSecret: secretName('A Secret with `username` and `password`.'),
      }),
      cidrs: cidrs('they'),
    },
    ['brokers'],
  ),
  blobs: strict(
    'The object store.',
    {
      url: text(
        '`s3://BUCKET/PREFIX` (`?endpoint=https://…` for stores that are not AWS) or `az://CONTAINER/PREFIX`.',
        { pattern: '^(s3|az)://[^/]+' },
      ),
      existingSecret: secretName(
        'A Secret whose entries become environment variables of the services that keep blobs. Without it: the identity of their pods.',
      ),
      port: whole('Its port, for the NetworkPolicy.', 1, 65_535),
      cidrs: cidrs('it'),
    },
    ['url'],
  ),
};

const QUANTITY: Schema = {
  type: ['string', 'integer', 'number'],
  pattern: '^[0-9]+(\\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$',
};
const SHARED: Record<string, Schema> = {
  strings: { type: 'object', additionalProperties: { type: 'string' } },
  kubernetes: { type: 'object' },
  quantity: QUANTITY,
  quantities: { type: 'object', additionalProperties: QUANTITY },
  resources: strict('', { requests: { $ref: '#/$defs/quantities' }, limits: { $ref: '#/$defs/quantities' } }),
  tolerations: list(
    '',
    strict('', {
      key: text(''),
      operator: oneOf('', ['Exists', 'Equal']),
      value: text(''),
      effect: oneOf('', ['NoSchedule', 'PreferNoSchedule', 'NoExecute']),
      tolerationSeconds: whole('', 0, 604_800),
    }),
  ),
  podDisruptionBudget: strict('', {
    maxUnavailable: { description: 'Pods, or a share: `25%`.', type: ['integer', 'string'], pattern: '^[0-9]{1,2}%$' },
  }),
  grpc: strict('', { enabled: enabled('it listens for gRPC too, on port 9001') }),
  service: strict('', {
    type: oneOf('ClusterIP, NodePort or LoadBalancer.', ['ClusterIP', 'NodePort', 'LoadBalancer']),
    annotations: strings('Annotations of the Service.'),
  }),
  autoscaling: strict('', {
    enabled: enabled('the number of pods follows their CPU'),
    minReplicas: whole('Fewest pods.', 1, 1000),
    maxReplicas: whole('Most pods.', 1, 1000),
    targetCpuPercent: whole('Of the requested CPU, over all pods.', 1, 100),
  }),
  pipeline: strict(
    '',
    {
      name: text('', { minLength: 1 }),
      endpoint: text('', { minLength: 1 }),
      input: text('', { pattern: '^[a-zA-Z0-9._-]{1,249}$' }),
      output: text('', { pattern: '^[a-zA-Z0-9._-]{1,249}$' }),
      deadLetters: text('', { pattern: '^[a-zA-Z0-9._-]{1,249}$' }),
      group: text('', { minLength: 1 }),
      maxBatchRecords: whole('', 1, 10_000),
    },
    ['name', 'endpoint', 'input', 'output', 'deadLetters'],
  ),
};

const sections = (definitions: readonly ConfigDefinition[]): Schema =>
  strict(
    'Settings of the services, as in their config file: a section a service. docs/reference/config.md explains each; those that the chart sets itself are left out.',
    Object.fromEntries(definitions.map((definition) => [definition.section, ref('', `${definition.section}Settings`)])),
  );

/** A key of the other mode: refused, in words that say why. */
const belongsTo = (mode: string, keys: Record<string, Schema>): Record<string, Schema> =>
  Object.fromEntries(Object.keys(keys).map((key) => [key, { const: `left out: it is read in mode ${mode} only` }]));

/** Keys of each mode; the table of README.md is made from it. */
export const MODES: Readonly<Record<'standalone' | 'distributed', Schema>> = {
  standalone: strict('', { ...common(sections(STANDALONE)), ...standalone }),
  distributed: strict('', { ...common(sections(DISTRIBUTED)), ...distributed }, ['database', 'kafka', 'blobs']),
};

function refusing(mode: Schema, others: Record<string, Schema>): Schema {
  return { ...mode, properties: { ...mode.properties, ...others } };
}

/** values.schema.json */
export function valuesSchema(): Schema {
  const when = (mode: 'standalone' | 'distributed'): Schema => ({
    if: { properties: { mode: { const: mode } } },
    // biome-ignore lint/suspicious/noThenProperty: the name is JSON Schema's
    then: { $ref: `#/$defs/${mode}` },
  });
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    required: ['mode'],
    properties: { mode: { type: 'string', enum: ['standalone', 'distributed'] } },
    allOf: [when('standalone'), when('distributed')],
    $defs: {
      standalone: refusing(MODES.standalone, belongsTo('distributed', distributed)),
      distributed: refusing(MODES.distributed, belongsTo('standalone', standalone)),
      ...SHARED,
      ...Object.fromEntries(
        [...new Set([...STANDALONE, ...DISTRIBUTED])].map((definition) => [
          `${definition.section}Settings`,
          settingsOf(definition),
        ]),
      ),
    },
  };
}

/** The schema that a reference names. */
export function resolve(schema: Schema): Schema {
  const name = schema.$ref?.replace('#/$defs/', '');
  return (name === undefined ? undefined : SHARED[name]) ?? schema;
}
