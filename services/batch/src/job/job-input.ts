/** What the service hands to a job's process. */
import { BatchSpec, BatchVersion, DatasetVersion, Id } from '@assay/contracts';
import Type from 'typebox';

export const JobInput = Type.Object(
  {
    jobId: Id,
    spec: BatchSpec,
    baseDir: Type.String(),
    version: BatchVersion,
    dataset: Type.Optional(DatasetVersion),
    batchUrl: Type.String({ description: 'Where progress and result go.' }),
    registryUrl: Type.String({ description: 'Where the package is, behind the token of the job.' }),
    packagesDir: Type.String({ description: 'Where packages are kept, by digest; relative to the folder of the job.' }),
    threads: Type.Optional(
      Type.Integer({ minimum: 1, description: 'That score. Default: the cores that it may use.' }),
    ),
    tableMemoryBytes: Type.Integer({ minimum: 1 }),
  },
  { $id: 'BatchJobInput', additionalProperties: false },
);
export type JobInput = Type.Static<typeof JobInput>;
