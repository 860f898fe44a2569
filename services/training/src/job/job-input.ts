/** What the service hands to a job's process. */
import { DatasetVersion, Id, SpecReference, TrainingSpec } from '@assay/contracts';
import Type from 'typebox';

export const JobInput = Type.Object(
  {
    jobId: Id,
    spec: TrainingSpec,
    specSource: Type.Optional(SpecReference),
    baseDir: Type.String(),
    createdAtMs: Type.Integer({ description: 'Of the job, and so of the package: each attempt makes the same bytes.' }),
    trainingUrl: Type.String({ description: 'Where progress and result go.' }),
    registryUrl: Type.String({
      description: 'The registry as the service passes it on to this job, with the same token.',
    }),
    dataset: Type.Optional(DatasetVersion),
    libraries: Type.Object(
      {
        cacheDir: Type.String({ description: 'Where fetched libraries are kept; relative to the folder of the job.' }),
        lightgbm: Type.Optional(Type.String({ description: 'lib_lightgbm.so to use.' })),
        xgboost: Type.Optional(Type.String({ description: 'libxgboost.so to use.' })),
      },
      { additionalProperties: false },
    ),
  },
  { $id: 'TrainingJobInput', additionalProperties: false },
);
export type JobInput = Type.Static<typeof JobInput>;
