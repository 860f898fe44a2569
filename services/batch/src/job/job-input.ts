/** What the service hands to a job's process. */
import { BatchSpec, BatchVersion, Id } from '@assay/contracts';
import Type from 'typebox';

/** The token is in the environment, under this name: it is never written down. */
export const TOKEN_VARIABLE = 'ASSAY_JOB_TOKEN';

export const JobInput = Type.Object(
  {
    jobId: Id,
    spec: BatchSpec,
    baseDir: Type.String(),
    version: BatchVersion,
    batchUrl: Type.String({ description: 'Where progress and result go.' }),
    registryUrl: Type.String({ description: 'Where the package is, behind the token of the job.' }),
    packagesDir: Type.String({ description: 'Where packages are kept, by digest.' }),
    threads: Type.Integer({ minimum: 1, description: 'That score.' }),
    tableMemoryBytes: Type.Integer({ minimum: 1 }),
  },
  { $id: 'BatchJobInput', additionalProperties: false },
);
export type JobInput = Type.Static<typeof JobInput>;
