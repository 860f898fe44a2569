/** Principals and API keys. The text of a key is in one answer, the one that made it, and nowhere else. */
import {
  ApiKey,
  AssayError,
  CreatedKey,
  CreateKey,
  CreatePrincipal,
  KeySnapshot,
  Page,
  PageQuery,
  Principal,
  UpdateKey,
} from '@assay/contracts';
import { type App, errorResponses, formatKeyText, newSecret, secretSha256 } from '@assay/http';
import { newId } from '@assay/runtime';
import type { FastifyRequest } from 'fastify';
import Type from 'typebox';
import { createKey, getKey, listKeys, readKeyRevision, readKeySnapshot, revokeKey, updateKey } from '../store/keys.ts';
import { createPrincipal, getPrincipal, listPrincipals } from '../store/principals.ts';
import { actorOf, callerGone } from './caller.ts';
import { checkWait } from './long-poll.ts';
import { DEFAULT_LIMIT } from './paging.ts';
import type { PartsOf } from './parts.ts';
import { KeyParams, KeysQuery, PrincipalParams, RoutingQuery } from './schemas.ts';

const tags = ['keys'];
const config = { access: 'admin' } as const;

export function keyRoutes(app: App, parts: PartsOf): void {
  app.post(
    '/v1/keys',
    {
      config,
      schema: {
        tags,
        operationId: 'createKey',
        summary: 'Make an API key',
        description:
          'Makes the principal too where there is none of that name. `secret` is the text of the key; it is shown this once and cannot be found again. Refused while the registry needs no keys: the first one is that of the bootstrap folder.',
        body: CreateKey,
        response: { 201: CreatedKey, ...errorResponses('INVALID_ARGUMENT', 'FAILED_PRECONDITION') },
      },
    },
    async (request, reply) => {
      const { store } = parts();
      requireKeys(parts);
      const made = { id: newId('key'), secret: newSecret() };
      const digested = { id: made.id, secretSha256: secretSha256(made.secret) };
      const key = await createKey(store, actorOf(request), request.body, digested);
      await holdNow(parts, request);
      reply.header('cache-control', 'no-store');
      return reply.code(201).send({ key, secret: formatKeyText(made) });
    },
  );

  app.get(
    '/v1/keys',
    {
      config,
      schema: {
        tags,
        operationId: 'listKeys',
        summary: 'List API keys, revoked ones too',
        querystring: KeysQuery,
        response: { 200: Page(ApiKey, 'ApiKeyPage'), ...errorResponses('INVALID_ARGUMENT') },
      },
    },
    async (request) => {
      const { after, limit = DEFAULT_LIMIT, principal } = request.query;
      return listKeys(parts().store.database.db, {
        limit,
        ...(after === undefined ? {} : { after }),
        ...(principal === undefined ? {} : { principal }),
      });
    },
  );

  app.get(
    '/v1/keys/:id',
    {
      config,
      schema: {
        tags,
        operationId: 'getKey',
        summary: 'Get what is known of an API key',
        params: KeyParams,
        response: { 200: ApiKey, ...errorResponses('NOT_FOUND') },
      },
    },
    async (request) => getKey(parts().store.database.db, request.params.id),
  );

  app.patch(
    '/v1/keys/:id',
    {
      config,
      schema: {
        tags,
        operationId: 'updateKey',
        summary: 'Change what an API key may do',
        description:
          'Compare-and-set by `expectedRevision`. What the body leaves out stays. It holds here at once, and at every service that reaches the registry within five seconds. A key that is revoked or that comes from the bootstrap folder cannot be changed, nor the scope `admin` be taken from the last key that has it.',
        params: KeyParams,
        body: UpdateKey,
        response: {
          200: ApiKey,
          ...errorResponses('INVALID_ARGUMENT', 'NOT_FOUND', 'STALE_REVISION', 'FAILED_PRECONDITION'),
        },
      },
    },
    async (request) => {
      const updated = await updateKey(parts().store, actorOf(request), request.params.id, request.body);
      await holdNow(parts, request);
      return updated;
    },
  );

  app.post(
    '/v1/keys/:id/revoke',
    {
      config,
      schema: {
        tags,
        operationId: 'revokeKey',
        summary: 'Revoke an API key for good',
        description:
          'It is refused here at once, and by every service that reaches the registry within five seconds. One that is revoked stays as it is. The last key with the scope `admin` cannot be revoked.',
        params: KeyParams,
        response: { 200: ApiKey, ...errorResponses('NOT_FOUND', 'FAILED_PRECONDITION') },
      },
    },
    async (request) => {
      const revoked = await revokeKey(parts().store, actorOf(request), request.params.id);
      await holdNow(parts, request);
      return revoked;
    },
  );

  app.get(
    '/v1/keys/snapshot',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'getKeySnapshot',
        summary: 'Get the digests of all keys that hold, or wait for a change',
        description:
          'For services and administrators. With `after` and `waitMs` the answer comes as soon as the revision is another, or when the wait is over, then without a body: the snapshot of that revision still holds.',
        querystring: RoutingQuery,
        response: {
          200: KeySnapshot,
          204: Type.Null({ description: 'Nothing has changed.' }),
          ...errorResponses('INVALID_ARGUMENT', 'PERMISSION_DENIED', 'OVERLOADED'),
        },
      },
    },
    async (request, reply) => {
      requireService(request);
      const { after, waitMs = 0 } = request.query;
      const { config: limits, keyWatch, store } = parts();
      checkWait(waitMs, limits.maxLongPollMs);
      if (after !== undefined) await keyWatch.waitBeyond(after, waitMs, callerGone(reply));
      reply.header('cache-control', 'no-store');
      if ((await readKeyRevision(store.database.db)) === after) return reply.code(204).send(null);
      return reply.send(await readKeySnapshot(store.database));
    },
  );

  app.post(
    '/v1/principals',
    {
      config,
      schema: {
        tags,
        operationId: 'createPrincipal',
        summary: 'Make a principal',
        description:
          'Without a key; `createKey` makes its principal too. Example: `{"name": "churn-app", "kind": "service"}`.',
        body: CreatePrincipal,
        response: { 201: Principal, ...errorResponses('INVALID_ARGUMENT', 'ALREADY_EXISTS') },
      },
    },
    async (request, reply) => {
      const made = await createPrincipal(parts().store, actorOf(request), request.body);
      return reply.code(201).header('location', `/v1/principals/${made.name}`).send(made);
    },
  );

  app.get(
    '/v1/principals/:name',
    {
      config,
      schema: {
        tags,
        operationId: 'getPrincipal',
        summary: 'Get a principal',
        params: PrincipalParams,
        response: { 200: Principal, ...errorResponses('NOT_FOUND') },
      },
    },
    async (request) => getPrincipal(parts().store.database.db, request.params.name),
  );

  app.get(
    '/v1/principals',
    {
      config,
      schema: {
        tags,
        operationId: 'listPrincipals',
        summary: 'List principals by name',
        querystring: PageQuery,
        response: { 200: Page(Principal, 'PrincipalPage'), ...errorResponses('INVALID_ARGUMENT') },
      },
    },
    async (request) => {
      const { after, limit = DEFAULT_LIMIT } = request.query;
      return listPrincipals(parts().store.database.db, { limit, ...(after === undefined ? {} : { after }) });
    },
  );
}

/**
 * A registry that lets everyone on this machine in does not begin to need keys in the middle of its life: the services
 * that call it would be shut out.
 */
function requireKeys(parts: PartsOf): void {
  if (parts().keys !== undefined) return;
  throw new AssayError(
    'FAILED_PRECONDITION',
    'this Assay needs no keys: whoever is on this machine may do everything. Start it with keys first: `assay up --keys`, or ASSAY_REGISTRY_BOOTSTRAP_KEYS_DIR (docs/security.md)',
  );
}

/** @throws AssayError PERMISSION_DENIED */
function requireService({ caller }: FastifyRequest): void {
  if (caller?.kind === 'service' || caller?.scopes.has('admin')) return;
  throw new AssayError('PERMISSION_DENIED', 'the digests of keys are for services and administrators');
}

/** So that a key can be used, or is refused, as soon as the answer is there. It is durable already, whatever happens. */
async function holdNow(parts: PartsOf, request: FastifyRequest): Promise<void> {
  await parts()
    .keys?.refresh(AbortSignal.timeout(2000))
    .catch((error: unknown) => request.log.warn({ err: error }, 'a change of keys takes effect a little later'));
}
