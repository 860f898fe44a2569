/** What jobs of every kind have in common. */
import Type from 'typebox';
import { DatasetVersionSummary } from './datasets.ts';

export const JobResources = Type.Object(
  {
    gpus: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 64,
        description: 'GPUs that it must have. On Kubernetes it is placed on the GPU pool, and waits until one is free.',
      }),
    ),
    cpu: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 1024,
        description: 'Cores that are kept for it; 0.5 is half of one.',
      }),
    ),
    memory: Type.Optional(
      Type.String({
        pattern: '^[0-9]+(\\.[0-9]+)?(k|M|G|T|Ki|Mi|Gi|Ti)?$',
        description: 'The most that it may use, in bytes or with a unit: `8Gi`. With more it fails (out-of-memory).',
      }),
    ),
  },
  {
    $id: 'JobResources',
    additionalProperties: false,
    description:
      'What the job asks of Kubernetes; what it does not name is as the operator set it. Run as a child process, a job shares what its machine has.',
  },
);
export type JobResources = Type.Static<typeof JobResources>;

/** The version of a dataset that a job works on: looked up once, and kept whatever is registered later. */
export const DatasetReference = Type.Pick(DatasetVersionSummary, ['id', 'datasetName', 'version', 'digest'], {
  $id: 'DatasetReference',
  additionalProperties: false,
});
export type DatasetReference = Type.Static<typeof DatasetReference>;

/** The stage of a job's progress while its launch waits, for a node or an image; the message says what for. */
export const WAITING_STAGE = 'waiting';
