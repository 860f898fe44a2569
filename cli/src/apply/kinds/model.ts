import { type Model, ModelDocument, type ModelSpec } from '@assay/contracts';
import { defineKind, withoutDefaults } from '../kind.ts';
import { unlessMissing } from '../session.ts';

export const modelKind = defineKind<ModelSpec, Model>({
  kind: 'Model',
  schema: ModelDocument,
  folder: 'models',
  find: async ({ name }, { registry, signal }) => {
    const found = await unlessMissing(registry.getModel(name, { signal }));
    return found?.name === name ? found : undefined; // an id finds a model, too
  },
  specOf: async (found) => specOf(found),
  wanted: async (spec) => withoutDefaults(spec),
  async write({ name, spec, found }, { registry, signal }) {
    const { description = '', tags = {} } = spec;
    if (found === undefined) await registry.createModel({ name, description, tags }, { signal });
    else {
      const expectedRevision = found.revision;
      await registry.updateModel(found.id, { expectedRevision, description, tags }, { signal });
    }
    return undefined;
  },
  async *list(session) {
    for (const model of await session.models()) yield { name: model.name, spec: specOf(model) };
  },
});

function specOf({ description, tags = {} }: Model): ModelSpec {
  return withoutDefaults({ description, tags });
}
