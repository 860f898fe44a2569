/**
 * How the pods of jobs look, as an operator says it: the file `jobs.yaml` that the chart writes. Words are those of the
 * Kubernetes API, since whoever sets them has its documentation at hand.
 */
import { readFile } from 'node:fs/promises';
import { AssayError, whyUnreadable } from '@assay/contracts';
import { parseYaml } from '@assay/runtime';
import Type from 'typebox';

const strict = { additionalProperties: false } as const;

const Strings = (description: string) => Type.Record(Type.String(), Type.String(), { description });

const Quantity = Type.Union([
  Type.String({ pattern: '^[0-9]+(\\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$' }),
  Type.Number({ minimum: 0 }),
]);

export const Toleration = Type.Object(
  {
    key: Type.Optional(Type.String()),
    operator: Type.Optional(Type.Enum(['Exists', 'Equal'])),
    value: Type.Optional(Type.String()),
    effect: Type.Optional(Type.Enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute'])),
    tolerationSeconds: Type.Optional(Type.Integer()),
  },
  strict,
);
export type Toleration = Type.Static<typeof Toleration>;

const Resources = Type.Object(
  {
    requests: Type.Optional(Type.Record(Type.String(), Quantity)),
    limits: Type.Optional(Type.Record(Type.String(), Quantity)),
  },
  { ...strict, description: 'Of a job that asks for nothing. A job that asks for memory or cores gets those instead.' },
);
export type Resources = Type.Static<typeof Resources>;

const seconds = (minimum: number, description: string) => Type.Integer({ minimum, maximum: 31_536_000, description });

export const KubernetesJobSettings = Type.Object(
  {
    namespace: Type.String({
      pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$',
      description: 'Where Jobs are made: a namespace of their own, without any secret of the platform.',
    }),
    image: Type.String({
      minLength: 1,
      description: 'What runs: the image of the service, or one that follows docs/jobs.md.',
    }),
    command: Type.Optional(
      Type.Array(Type.String(), {
        description: "Default: the service's own job entry. `[]` runs the entry point of the image.",
      }),
    ),
    imagePullPolicy: Type.Optional(Type.Enum(['IfNotPresent', 'Always', 'Never'])),
    imagePullSecrets: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), { description: 'Names of Secrets there.' }),
    ),
    serviceAccount: Type.Optional(
      Type.String({ minLength: 1, description: 'Its token is never mounted. Default: `default`.' }),
    ),
    runAsUser: Type.Optional(
      Type.Integer({ minimum: 1, description: 'Numeric user and group of the process. Default: 1000.' }),
    ),
    priorityClassName: Type.Optional(Type.String({ minLength: 1 })),
    queueName: Type.Optional(
      Type.String({ minLength: 1, description: 'A Kueue LocalQueue: Jobs begin suspended and Kueue starts them.' }),
    ),
    resources: Type.Optional(Resources),
    workSizeLimit: Type.Optional(Quantity),
    sharedMemory: Type.Optional(Quantity),
    labels: Type.Optional(Strings('Also on each Job and pod.')),
    annotations: Type.Optional(Strings('Also on each pod.')),
    nodeSelector: Type.Optional(Strings('Labels of the nodes that jobs may run on.')),
    tolerations: Type.Optional(Type.Array(Toleration)),
    gpu: Type.Optional(
      Type.Object(
        {
          image: Type.Optional(
            Type.String({ minLength: 1, description: 'Instead of `image`: with the libraries that compute on a GPU.' }),
          ),
          resource: Type.Optional(Type.String({ minLength: 1, description: 'Default: `nvidia.com/gpu`.' })),
          nodeSelector: Type.Optional(Strings('Labels of the nodes of the GPU pool.')),
          tolerations: Type.Optional(Type.Array(Toleration)),
          runtimeClassName: Type.Optional(Type.String({ minLength: 1 })),
        },
        { ...strict, description: 'Added for a job that asks for a GPU.' },
      ),
    ),
    ttlSecondsAfterFinished: Type.Optional(
      seconds(60, 'How long a finished Job, its pod and its log are kept. Default: 3600.'),
    ),
    terminationGracePeriodSeconds: Type.Optional(
      seconds(1, 'What an evicted job has to write its checkpoint. Default: 30.'),
    ),
    maxWaitSeconds: Type.Optional(
      seconds(60, 'How long a job may wait for room before it has failed. Default: 86400 (a day).'),
    ),
    maxStartSeconds: Type.Optional(
      seconds(
        1,
        'How long an image that cannot be pulled, or a container that cannot be made, is tried. Default: 300.',
      ),
    ),
  },
  { $id: 'KubernetesJobSettings', ...strict },
);
export type KubernetesJobSettings = Type.Static<typeof KubernetesJobSettings>;

/**
 * Reads `jobs.yaml`.
 * @throws AssayError INVALID_ARGUMENT with each wrong place and its line; FAILED_PRECONDITION where it cannot be read
 */
export async function readKubernetesJobSettings(path: string): Promise<KubernetesJobSettings> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const reason = whyUnreadable(error, path);
    throw new AssayError('FAILED_PRECONDITION', `the settings of jobs on Kubernetes (jobsFile): ${reason}`, {
      cause: error,
    });
  }
  return parseYaml(KubernetesJobSettings, text, path);
}
