import { type KeptPipeline, PipelineDocument, type PipelineSpec } from '@assay/contracts';
import { defineKind } from '../kind.ts';
import { everyPage, unlessMissing } from '../session.ts';

export const pipelineKind = defineKind<PipelineSpec, KeptPipeline>({
  kind: 'Pipeline',
  schema: PipelineDocument,
  folder: 'pipelines',
  find: ({ name }, { registry, signal }) => unlessMissing(registry.getPipeline(name, { signal })),
  specOf: async (found) => specOf(found),
  wanted: async (spec) => spec,
  async write({ name, spec, found }, { registry, signal }) {
    await registry.putPipeline(name, { ...spec, expectedRevision: found?.revision ?? 0 }, { signal });
    return undefined;
  },
  async remove({ name, revision }, { registry, signal }) {
    await registry.deletePipeline(name, revision, { signal });
  },
  async *list({ registry, signal }) {
    for (const found of await everyPage((query) => registry.listPipelines(query, { signal }))) {
      yield { name: found.name, spec: specOf(found) };
    }
  },
});

function specOf({ name: _, revision: __, updatedAt: ___, updatedBy: ____, ...spec }: KeptPipeline): PipelineSpec {
  return spec;
}
