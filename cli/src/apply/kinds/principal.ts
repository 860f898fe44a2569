import { type Principal, PrincipalDocument, type PrincipalSpec } from '@assay/contracts';
import { defineKind } from '../kind.ts';
import { everyPage, unlessMissing } from '../session.ts';

export const principalKind = defineKind<PrincipalSpec, Principal>({
  kind: 'Principal',
  schema: PrincipalDocument,
  folder: 'principals',
  find: ({ name }, { registry, signal }) => unlessMissing(registry.getPrincipal(name, { signal })),
  specOf: async ({ kind }) => ({ kind }),
  async wanted(spec, document, found) {
    if (found === undefined || found.kind === spec.kind) return spec;
    throw document.wrong(['spec', 'kind'], `${found.name} is a ${found.kind}, for good`, found.kind);
  },
  async write({ name, spec }, { registry, signal }) {
    await registry.createPrincipal({ name, kind: spec.kind }, { signal });
    return undefined;
  },
  async *list({ registry, signal }) {
    for (const { name, kind } of await everyPage((query) => registry.listPrincipals(query, { signal }))) {
      yield { name, spec: { kind } };
    }
  },
});
