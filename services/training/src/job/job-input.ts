/** What the service hands to a job's process. */
import { Id, TrainingSpec } from '@assay/contracts';
import Type from 'typebox';

/** The token is in the environment, under this name: it is never written down. */
export const TOKEN_VARIABLE = 'ASSAY_JOB_TOKEN';

export const JobInput = Type.Object(
  {
    jobId: Id,
    spec: TrainingSpec,
    baseDir: Type.String(),
    createdAtMs: Type.Integer({ description: 'Of the job, and so of the package: each attempt makes the same bytes.' }),
    trainingUrl: Type.String({ description: 'Where progress and result go.' }),
    registryUrl: Type.String({
      description: 'The registry as the service passes it on to this job, with the same token.',
    }),
    lightgbm: Type.Object({
      library: Type.Optional(Type.String({ description: 'lib_lightgbm.so to use.' })),
      cacheDir: Type.String({ description: 'Where fetched libraries are kept.' }),
    }),
  },
  { $id: 'TrainingJobInput', additionalProperties: false },
);
export type JobInput = Type.Static<typeof JobInput>;
