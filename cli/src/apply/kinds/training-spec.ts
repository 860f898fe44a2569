import { type KeptTrainingSpec, type TrainingSpec, TrainingSpecDocument } from '@assay/contracts';
import { defineKind } from '../kind.ts';
import { everyPage, unlessMissing } from '../session.ts';

export const trainingSpecKind = defineKind<TrainingSpec, KeptTrainingSpec>({
  kind: 'TrainingSpec',
  schema: TrainingSpecDocument,
  folder: 'training-specs',
  find: ({ name }, { registry, signal }) => unlessMissing(registry.getTrainingSpec(name, { signal })),
  specOf: async ({ spec }) => spec,
  wanted: async (spec) => spec,
  async write({ name, spec, found }, { registry, signal }) {
    await registry.putTrainingSpec(name, { spec, expectedRevision: found?.revision ?? 0 }, { signal });
    return undefined;
  },
  async remove({ name, revision }, { registry, signal }) {
    await registry.deleteTrainingSpec(name, revision, { signal });
  },
  async *list({ registry, signal }) {
    for (const { name, spec } of await everyPage((query) => registry.listTrainingSpecs(query, { signal }))) {
      yield { name, spec };
    }
  },
});
