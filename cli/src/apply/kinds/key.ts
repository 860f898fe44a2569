/** A key is made by `assay keys create`, which shows its text once; a document says what it may do from then on. */
import { type ApiKey, KeyDocument, type KeySpec } from '@assay/contracts';
import { defineKind, withoutDefaults } from '../kind.ts';
import { everyPage, unlessMissing } from '../session.ts';

export const keyKind = defineKind<KeySpec, ApiKey>({
  kind: 'Key',
  schema: KeyDocument,
  folder: 'keys',
  async find(document, { registry, signal }) {
    const found = await unlessMissing(registry.getKey(document.name, { signal }));
    if (found !== undefined) return found;
    const expected = 'the id of a key that `assay keys create` has made';
    throw document.wrong(['name'], `there is no key ${document.name}`, expected);
  },
  specOf: async (found) => specOf(found),
  async wanted(spec, document, found) {
    if (found === undefined) return spec; // `find` has thrown
    if (spec.principal !== found.principalName) {
      const message = `${found.id} is a key of ${found.principalName}, for good`;
      throw document.wrong(['spec', 'principal'], message, found.principalName);
    }
    // What a revoked key may do matters no more, and cannot be changed.
    if (spec.revoked === true) return { ...specOf(found), revoked: true };
    if (found.revokedAt !== null) {
      const message = `${found.id} was revoked by ${found.revokedBy}, for good`;
      throw document.wrong(['spec'], message, '`revoked: true`, or no document of it');
    }
    return withoutDefaults({
      ...spec,
      scopes: spec.scopes.toSorted(),
      endpoints: spec.endpoints?.toSorted(),
      revoked: undefined,
    });
  },
  async write({ name, spec, found }, { registry, signal }) {
    if (spec.revoked === true) await registry.revokeKey(name, { signal });
    else {
      const { scopes, endpoints = [], description = '' } = spec;
      const expectedRevision = found?.revision ?? 0;
      await registry.updateKey(name, { expectedRevision, scopes, endpoints, description }, { signal });
    }
    return undefined;
  },
  async *list({ registry, signal }) {
    for (const key of await everyPage((query) => registry.listKeys(query, { signal }))) {
      if (key.revokedAt === null) yield { name: key.id, spec: specOf(key) };
    }
  },
});

function specOf({ principalName, scopes, endpoints, description, revokedAt }: ApiKey): KeySpec {
  return withoutDefaults({
    principal: principalName,
    scopes: scopes.toSorted(),
    endpoints: endpoints?.toSorted(),
    description,
    revoked: revokedAt === null ? undefined : true,
  });
}
