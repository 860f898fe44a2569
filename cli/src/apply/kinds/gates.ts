/** The gates of a model. A model has some or none: what requires nothing is not there. */
import { AssayError, type Gates, GatesDocument, type ModelGates } from '@assay/contracts';
import { defineKind } from '../kind.ts';
import { unlessMissing } from '../session.ts';

export const gatesKind = defineKind<Gates, ModelGates>({
  kind: 'Gates',
  schema: GatesDocument,
  folder: 'gates',
  async find({ name }, { registry, signal }) {
    const found = await unlessMissing(registry.getGates(name, { signal }));
    return found === undefined || found.modelName !== name || isNone(found.gates) ? undefined : found;
  },
  specOf: async ({ gates }) => gates,
  async wanted(spec, document) {
    if (!isNone(spec)) return spec;
    throw document.wrong(['spec'], 'requires nothing', 'a requirement, or `absent: true` in the place of `spec`');
  },
  async write({ name, spec, found }, { registry, signal }) {
    const { gates: now, ...read } = found ?? (await registry.getGates(name, { signal })); // gates that were taken away count on
    if (found === undefined && !isNone(now)) {
      throw new AssayError('STALE_REVISION', `${name} was given gates since the plan was made, by ${read.updatedBy}`, {
        currentRevision: read.revision,
      });
    }
    await registry.setGates(name, { expectedRevision: read.revision, gates: spec }, { signal });
    return undefined;
  },
  async remove({ modelName, revision }, { registry, signal }) {
    await registry.setGates(modelName, { expectedRevision: revision, gates: {} }, { signal });
  },
  async *list(session) {
    const { registry, signal } = session;
    for (const { name } of await session.models()) {
      const { gates } = await registry.getGates(name, { signal });
      if (!isNone(gates)) yield { name, spec: gates };
    }
  },
});

const isNone = (gates: Gates): boolean => Object.keys(gates).length === 0;
