import {
  AssayError,
  canonicalJson,
  DEFAULT_ENDPOINT_TIMEOUT_MS,
  type Endpoint,
  EndpointDocument,
  type EndpointSpec,
  type PutEndpoint,
} from '@assay/contracts';
import { defineKind, type Writing, withoutDefaults } from '../kind.ts';
import { everyPage, type Session, unlessMissing, type VersionName } from '../session.ts';
import { aliasName, requireVersion } from './alias.ts';

export const endpointKind = defineKind<EndpointSpec, Endpoint>({
  kind: 'Endpoint',
  schema: EndpointDocument,
  folder: 'endpoints',
  find: ({ name }, session) => findEndpoint(name, session),
  specOf,
  async wanted(spec, document, found, session) {
    if ((spec.follow === undefined) === (spec.variants === undefined)) {
      const message = spec.follow === undefined ? 'needs `follow` or `variants`' : 'has both `follow` and `variants`';
      throw document.wrong(['spec'], message, 'one of them');
    }
    for (const list of ['variants', 'shadows'] as const) {
      for (const [i, named] of (spec[list] ?? []).entries()) {
        await requireVersion(named, ['spec', list, i, 'version'], document, session);
      }
    }
    const { defaultTimeoutMs, contract = found?.contract, ...others } = spec;
    return withoutDefaults({ ...others, contract, defaultTimeoutMs: unlessDefault(defaultTimeoutMs) });
  },
  async write(change, session) {
    const { registry, signal } = session;
    const seen = await seenNow(change, session);
    const { name, spec } = change;
    await registry.putEndpoint(name, await bodyOf(spec, seen?.revision ?? 0, session), { signal });
    return undefined;
  },
  async remove({ name, revision }, { registry, signal }) {
    await registry.deleteEndpoint(name, revision, { signal });
  },
  async *list(session) {
    const { registry, signal } = session;
    for (const endpoint of await everyPage((query) => registry.listEndpoints(query, { signal }))) {
      yield { name: endpoint.name, spec: await specOf(endpoint, session) };
    }
  },
});

function findEndpoint(name: string, { registry, signal }: Session): Promise<Endpoint | undefined> {
  return unlessMissing(registry.getEndpoint(name, { signal }));
}

async function specOf(found: Endpoint, session: Session): Promise<EndpointSpec> {
  const { follow, variants, shadows = [], contract, defaultTimeoutMs, limits, cache } = found;
  const named = <T extends { versionId: string }>(items: readonly T[]) =>
    Promise.all(items.map(async ({ versionId, ...rest }) => ({ ...(await session.versionOf(versionId)), ...rest })));
  return withoutDefaults({
    ...(follow === undefined
      ? { variants: await named(variants) }
      : { follow: { model: await session.modelName(follow.modelId), alias: follow.alias } }),
    defaultTimeoutMs: unlessDefault(defaultTimeoutMs),
    limits,
    cache,
    shadows: await named(shadows),
    contract,
  });
}

function unlessDefault(defaultTimeoutMs: number | undefined): number | undefined {
  return defaultTimeoutMs === DEFAULT_ENDPOINT_TIMEOUT_MS ? undefined : defaultTimeoutMs;
}

async function bodyOf(spec: EndpointSpec, expectedRevision: number, session: Session): Promise<PutEndpoint> {
  const { follow, variants, contract, defaultTimeoutMs, limits = {}, cache = null, shadows = [] } = spec;
  const ided = <T extends VersionName>(items: readonly T[]) =>
    Promise.all(
      items.map(async ({ model, version, ...rest }) => {
        const versionId = await session.versionId({ model, version });
        if (versionId !== undefined) return { ...rest, versionId };
        throw new AssayError('NOT_FOUND', `model ${model} has no version ${version}`);
      }),
    );
  return {
    expectedRevision,
    ...(follow === undefined ? {} : { follow }),
    ...(variants === undefined ? {} : { variants: await ided(variants) }),
    ...(contract === undefined ? {} : { contract }),
    defaultTimeoutMs: defaultTimeoutMs ?? DEFAULT_ENDPOINT_TIMEOUT_MS,
    limits,
    cache,
    shadows: await ided(shadows),
  };
}

/**
 * What the write is compared with: the endpoint as the plan saw it. But an alias that this apply has moved has moved the
 * endpoints that follow it, and the first `champion` has made the default endpoint: then it is looked at again, and must be
 * what that move alone made of it.
 * @throws AssayError STALE_REVISION where somebody else has changed it, too
 */
async function seenNow(
  { name, found, before, done }: Writing<EndpointSpec, Endpoint>,
  session: Session,
): Promise<Endpoint | undefined> {
  const follow = before === undefined ? { model: name, alias: 'champion' } : before.follow;
  if (follow === undefined) return found;
  const moved = done.find((step) => step.kind.name === 'Alias' && step.name === aliasName(follow.model, follow.alias));
  if (moved === undefined) return found;
  const now = await findEndpoint(name, session);
  if (now === undefined && found === undefined) return undefined; // a champion that cannot be served makes none
  if (now !== undefined) {
    const made = await specOf(now, session);
    const expected = before ?? withoutDefaults({ follow, contract: made.contract });
    const { version } = moved.after as { readonly version: number }; // the spec of an alias
    const isSame =
      canonicalJson(without({ ...follow, version }, expected)) === canonicalJson(without({ ...follow, version }, made));
    if (isSame) return now;
  }
  const state =
    now === undefined ? 'it is not there any more' : `it is at revision ${now.revision}, by ${now.updatedBy}`;
  throw new AssayError('STALE_REVISION', `endpoint ${name} was changed since the plan was made: ${state}`, {
    ...(now === undefined ? {} : { currentRevision: now.revision }),
  });
}

/** A version that begins to serve is no shadow any more. */
function without({ model, version }: VersionName, spec: EndpointSpec): EndpointSpec {
  const shadows = (spec.shadows ?? []).filter((shadow) => shadow.model !== model || shadow.version !== version);
  return withoutDefaults({ ...spec, shadows });
}
