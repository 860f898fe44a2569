import { type Alias, AliasDocument, type AliasSpec } from '@assay/contracts';
import type { Document } from '../documents.ts';
import { defineKind } from '../kind.ts';
import { type Session, unlessMissing, type VersionName } from '../session.ts';

export const aliasKind = defineKind<AliasSpec, Alias>({
  kind: 'Alias',
  schema: AliasDocument,
  folder: 'aliases',
  find: ({ name }, { registry, signal }) => unlessMissing(registry.getAlias(...parts(name), { signal })),
  specOf: async ({ version }) => ({ version }),
  async wanted(spec, document, _found, session) {
    const [model] = parts(document.name);
    await requireVersion({ model, version: spec.version }, ['spec', 'version'], document, session);
    return spec;
  },
  async write({ name, spec, found }, { registry, signal }) {
    const body = { version: spec.version, expectedRevision: found?.revision ?? 0 };
    await registry.moveAlias(...parts(name), body, { signal });
    return undefined;
  },
  async remove({ modelName, alias, revision }, { registry, signal }) {
    await registry.deleteAlias(modelName, alias, revision, { signal });
  },
  async *list(session) {
    for (const { name: model, aliases } of await session.models()) {
      for (const [alias, version] of Object.entries(aliases))
        yield { name: aliasName(model, alias), spec: { version } };
    }
  },
});

export function aliasName(model: string, alias: string): string {
  return `${model}@${alias}`;
}

function parts(name: string): [model: string, alias: string] {
  const [model = '', alias = ''] = name.split('@'); // neither has another @: the schema has taken the name
  return [model, alias];
}

/**
 * The id of a version that a document names. Files make no versions, so that it must be there before anything is done.
 * @throws AssayError of `document.wrong`
 */
export async function requireVersion(
  named: VersionName,
  path: readonly (string | number)[],
  document: Document,
  session: Session,
): Promise<string> {
  const id = await session.versionId(named);
  if (id !== undefined) return id;
  throw document.wrong(path, `model ${named.model} has no version ${named.version}`, 'a version that is registered');
}
