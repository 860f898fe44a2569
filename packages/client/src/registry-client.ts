/** The registry, as applications, services and the command line use it. */

import { randomUUID } from 'node:crypto';
import {
  Alias,
  ApiKey,
  AuditEntry,
  AuditVerification,
  Collection,
  type CollectRequest,
  CreatedKey,
  type CreateKey,
  type CreateModel,
  type CreatePrincipal,
  type CreateVersion,
  Endpoint,
  KeySnapshot,
  Model,
  type MoveAlias,
  type PackageFile,
  Page,
  type PageQuery,
  Principal,
  type PutEndpoint,
  type ReportShadows,
  RoutingSnapshot,
  ShadowComparisons,
  type UpdateKey,
  type UpdateModel,
  Version,
  VersionLineage,
} from '@assay/contracts';
import { downloadFiles, filesOf, type LocalFile, uploadFiles } from './package-transfer.ts';
import { putAgainIfGone } from './put-again.ts';
import { datasetMethods } from './registry-datasets.ts';
import { documentMethods } from './registry-documents.ts';
import { gateMethods } from './registry-gates.ts';
import { webhookMethods } from './registry-webhooks.ts';
import { type Call, type CallOptions, type ClientOptions, createTransport, segment } from './transport.ts';

/** Transfers have as long as a large model over a slow line needs; a stalled peer is noticed long before. */
const TRANSFER_TIMEOUT_MS = 30 * 60_000;
/** How much longer than its own wait a long poll may take to be answered. */
const LONG_POLL_GRACE_MS = 10_000;

const ModelPage = Page(Model, 'ModelPage');
const VersionPage = Page(Version, 'VersionPage');
const AliasPage = Page(Alias, 'AliasPage');
const EndpointPage = Page(Endpoint, 'EndpointPage');
const ApiKeyPage = Page(ApiKey, 'ApiKeyPage');
const PrincipalPage = Page(Principal, 'PrincipalPage');
const AuditPage = Page(AuditEntry, 'AuditPage');

export type RegistryClient = ReturnType<typeof createRegistryClient>;

export type DeletablePageQuery = PageQuery & { readonly deleted?: boolean };

/** Which entries of the audit trail; times are milliseconds since 1970, bounds are included, but for `after`. */
export interface AuditTrailQuery {
  readonly after?: number | string | undefined;
  readonly until?: number | undefined;
  readonly limit?: number | undefined;
  readonly principal?: string | undefined;
  readonly action?: string | undefined;
  readonly resource?: string | undefined;
  readonly resourceType?: string | undefined;
  readonly from?: number | undefined;
  readonly to?: number | undefined;
}

/** What a package folder becomes: see {@link CreateVersion}. */
export interface UploadOptions extends CallOptions {
  readonly description?: string;
  readonly tags?: Record<string, string>;
  /** The same key gives the version that it made before. Without one a fresh key covers the retries of this call. */
  readonly idempotencyKey?: string;
}

/**
 * A client of the registry at `url`. Every method throws AssayError with the code that the registry gave, UNAVAILABLE
 * where it cannot be reached, DEADLINE_EXCEEDED where it does not answer in time. `model` is a name or an id.
 */
export function createRegistryClient(options: ClientOptions) {
  const transport = createTransport('registry', options);
  const get = (path: string, query?: Call['query']): Call => ({
    method: 'GET',
    path,
    ...(query === undefined ? {} : { query }),
    idempotent: true,
  });
  const ofModel = (model: string): string => `/v1/models/${segment(model)}`;

  return {
    url: transport.url,

    /** With `deleted`, those that can be restored; so do the lists of versions and datasets. */
    listModels(query: DeletablePageQuery = {}, o?: CallOptions): Promise<Page<Model>> {
      return transport.json(ModelPage, get('/v1/models', query), o);
    },
    getModel(model: string, o?: CallOptions): Promise<Model> {
      return transport.json(Model, get(ofModel(model)), o);
    },
    /** ALREADY_EXISTS where the name is taken. Not retried once it was sent: the answer would not tell who made it. */
    createModel(body: CreateModel, o?: CallOptions): Promise<Model> {
      return transport.json(Model, { method: 'POST', path: '/v1/models', json: body, idempotent: false }, o);
    },
    /** Compare-and-set. `tags` are set all at once. */
    updateModel(model: string, body: UpdateModel, o?: CallOptions): Promise<Model> {
      return transport.json(Model, { method: 'PATCH', path: ofModel(model), json: body, idempotent: false }, o);
    },
    /** With its versions and aliases. FAILED_PRECONDITION, with who needs one of them. */
    deleteModel(model: string, expectedRevision: number, o?: CallOptions): Promise<void> {
      return transport.done(
        { method: 'DELETE', path: ofModel(model), query: { expectedRevision }, idempotent: false },
        o,
      );
    },
    /** By its id, or by the name that it had. */
    restoreModel(model: string, o?: CallOptions): Promise<Model> {
      return transport.json(Model, { method: 'POST', path: `${ofModel(model)}/restore`, idempotent: false }, o);
    },

    listVersions(model: string, query: DeletablePageQuery = {}, o?: CallOptions): Promise<Page<Version>> {
      return transport.json(VersionPage, get(`${ofModel(model)}/versions`, query), o);
    },
    /** `version` is a number or an id. */
    getVersion(model: string, version: number | string, o?: CallOptions): Promise<Version> {
      return transport.json(Version, get(`${ofModel(model)}/versions/${segment(String(version))}`), o);
    },
    getVersionById(versionId: string, o?: CallOptions): Promise<Version> {
      return transport.json(Version, get(`/v1/versions/${segment(versionId)}`), o);
    },
    getVersionLineage(model: string, version: number | string, o?: CallOptions): Promise<VersionLineage> {
      const path = `${ofModel(model)}/versions/${segment(String(version))}/lineage`;
      return transport.json(VersionLineage, get(path), o);
    },
    /** Registers files that were put before; {@link uploadPackage} does both. */
    createVersion(model: string, body: CreateVersion, o?: CallOptions): Promise<Version> {
      const json = { ...body, idempotencyKey: body.idempotencyKey ?? randomUUID() };
      const call: Call = { method: 'POST', path: `${ofModel(model)}/versions`, json, idempotent: true };
      return transport.json(Version, { ...call, timeoutMs: TRANSFER_TIMEOUT_MS }, o);
    },
    /**
     * Uploads the files that the registry does not have yet, then registers the version. The model must exist.
     * @param source a package folder (every file in it but hidden ones), or a list of files with their names in the package
     */
    async uploadPackage(
      model: string,
      source: string | readonly LocalFile[],
      { description, tags, idempotencyKey, ...o }: UploadOptions = {},
    ): Promise<Version> {
      const locals = typeof source === 'string' ? await filesOf(source) : source;
      return putAgainIfGone(
        () => uploadFiles(transport, locals, o, TRANSFER_TIMEOUT_MS),
        (files) =>
          this.createVersion(
            model,
            {
              files,
              ...(description === undefined ? {} : { description }),
              ...(tags === undefined ? {} : { tags }),
              ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
            },
            o,
          ),
      );
    },
    /** FAILED_PRECONDITION, with who needs it, where an endpoint serves it, an alias points at it, or one was made from it. */
    deleteVersion(model: string, version: number | string, o?: CallOptions): Promise<void> {
      const path = `${ofModel(model)}/versions/${segment(String(version))}`;
      return transport.done({ method: 'DELETE', path, idempotent: false }, o);
    },
    restoreVersion(model: string, version: number | string, o?: CallOptions): Promise<Version> {
      const path = `${ofModel(model)}/versions/${segment(String(version))}/restore`;
      return transport.json(Version, { method: 'POST', path, idempotent: false }, o);
    },
    /** One small file of a version as text: `assay.json`, `MLmodel`. */
    async readPackageFile(versionId: string, path: string, o?: CallOptions): Promise<string> {
      const segments = path.split('/').map(segment).join('/');
      const call = { ...get(`/v1/versions/${segment(versionId)}/files/${segments}`), headers: { accept: '*/*' } };
      return transport.text(call, o);
    },
    /**
     * Downloads the files of a version into `dir`, each checked against its digest. The folder is whole or absent: it
     * gets its name when the last file is there. An existing `dir` is left as it is.
     */
    downloadPackage(
      version: { readonly id: string; readonly files: readonly PackageFile[] },
      dir: string,
      o?: CallOptions,
    ): Promise<void> {
      return downloadFiles(transport, version, dir, o, TRANSFER_TIMEOUT_MS);
    },

    listAliases(model: string, query: PageQuery = {}, o?: CallOptions): Promise<Page<Alias>> {
      return transport.json(AliasPage, get(`${ofModel(model)}/aliases`, query), o);
    },
    getAlias(model: string, alias: string, o?: CallOptions): Promise<Alias> {
      return transport.json(Alias, get(`${ofModel(model)}/aliases/${segment(alias)}`), o);
    },
    /** Compare-and-set: STALE_REVISION where another moved it since it was read. */
    moveAlias(model: string, alias: string, body: MoveAlias, o?: CallOptions): Promise<Alias> {
      const path = `${ofModel(model)}/aliases/${segment(alias)}`;
      return transport.json(Alias, { method: 'PUT', path, json: body, idempotent: false }, o);
    },
    deleteAlias(model: string, alias: string, expectedRevision: number, o?: CallOptions): Promise<void> {
      const path = `${ofModel(model)}/aliases/${segment(alias)}`;
      return transport.done({ method: 'DELETE', path, query: { expectedRevision }, idempotent: false }, o);
    },

    listEndpoints(query: PageQuery = {}, o?: CallOptions): Promise<Page<Endpoint>> {
      return transport.json(EndpointPage, get('/v1/endpoints', query), o);
    },
    getEndpoint(name: string, o?: CallOptions): Promise<Endpoint> {
      return transport.json(Endpoint, get(`/v1/endpoints/${segment(name)}`), o);
    },
    putEndpoint(name: string, body: PutEndpoint, o?: CallOptions): Promise<Endpoint> {
      const path = `/v1/endpoints/${segment(name)}`;
      return transport.json(Endpoint, { method: 'PUT', path, json: body, idempotent: false }, o);
    },
    deleteEndpoint(name: string, expectedRevision: number, o?: CallOptions): Promise<void> {
      const path = `/v1/endpoints/${segment(name)}`;
      return transport.done({ method: 'DELETE', path, query: { expectedRevision }, idempotent: false }, o);
    },

    /** What the shadows of an endpoint answered, over all replicas. */
    shadowComparisons(endpoint: string, o?: CallOptions): Promise<ShadowComparisons> {
      return transport.json(ShadowComparisons, get(`/v1/endpoints/${segment(endpoint)}/shadows`), o);
    },
    /** For the inference service. */
    reportShadows(endpoint: string, body: ReportShadows, o?: CallOptions): Promise<void> {
      const path = `/v1/endpoints/${segment(endpoint)}/shadow-reports`;
      return transport.done({ method: 'POST', path, json: body, idempotent: true }, o);
    },

    /**
     * The routing snapshot; a long poll. With `after` it answers as soon as the revision is higher, or after `waitMs`
     * with the snapshot as it is: compare the revision.
     */
    routing(query: { after?: number; waitMs?: number } = {}, o?: CallOptions): Promise<RoutingSnapshot> {
      const timeoutMs = (query.waitMs ?? 0) + LONG_POLL_GRACE_MS;
      return transport.json(RoutingSnapshot, { ...get('/v1/routing', query), timeoutMs }, o);
    },

    /** The answer has the text of the key, which is shown this once. Not retried once it was sent: it might be lost. */
    createKey(body: CreateKey, o?: CallOptions): Promise<CreatedKey> {
      return transport.json(CreatedKey, { method: 'POST', path: '/v1/keys', json: body, idempotent: false }, o);
    },
    listKeys(query: PageQuery & { principal?: string } = {}, o?: CallOptions): Promise<Page<ApiKey>> {
      return transport.json(ApiKeyPage, get('/v1/keys', query), o);
    },
    getKey(id: string, o?: CallOptions): Promise<ApiKey> {
      return transport.json(ApiKey, get(`/v1/keys/${segment(id)}`), o);
    },
    /** Compare-and-set. What it may do; every service that reaches the registry knows it within five seconds. */
    updateKey(id: string, body: UpdateKey, o?: CallOptions): Promise<ApiKey> {
      const call: Call = { method: 'PATCH', path: `/v1/keys/${segment(id)}`, json: body, idempotent: false };
      return transport.json(ApiKey, call, o);
    },
    /** For good. Every service that reaches the registry refuses it within five seconds. */
    revokeKey(id: string, o?: CallOptions): Promise<ApiKey> {
      const path = `/v1/keys/${segment(id)}/revoke`;
      return transport.json(ApiKey, { method: 'POST', path, idempotent: true }, o);
    },
    /** ALREADY_EXISTS where the name is taken. */
    createPrincipal(body: CreatePrincipal, o?: CallOptions): Promise<Principal> {
      return transport.json(Principal, { method: 'POST', path: '/v1/principals', json: body, idempotent: false }, o);
    },
    getPrincipal(name: string, o?: CallOptions): Promise<Principal> {
      return transport.json(Principal, get(`/v1/principals/${segment(name)}`), o);
    },
    listPrincipals(query: PageQuery = {}, o?: CallOptions): Promise<Page<Principal>> {
      return transport.json(PrincipalPage, get('/v1/principals', query), o);
    },
    /**
     * The digests of all keys that hold, for services; a long poll. undefined where the snapshot with the revision `after`
     * still holds when `waitMs` is over.
     */
    keySnapshot(query: { after?: number; waitMs?: number } = {}, o?: CallOptions): Promise<KeySnapshot | undefined> {
      const timeoutMs = (query.waitMs ?? 0) + LONG_POLL_GRACE_MS;
      return transport.jsonIfAny(KeySnapshot, { ...get('/v1/keys/snapshot', query), timeoutMs }, o);
    },

    ...datasetMethods(transport, TRANSFER_TIMEOUT_MS),
    ...documentMethods(transport),
    ...gateMethods(transport),
    ...webhookMethods(transport),

    audit(query: AuditTrailQuery = {}, o?: CallOptions): Promise<Page<AuditEntry>> {
      return transport.json(AuditPage, get('/v1/audit', { ...query }), o);
    },
    /**
     * The whole chain as NDJSON, for `verifyAuditExport` of contracts. `write` gets the bytes, and again from the first one
     * when the answer was cut; it must have taken all of them when it resolves.
     */
    exportAudit(
      write: (body: AsyncIterable<Uint8Array>, signal: AbortSignal) => Promise<void>,
      o?: CallOptions,
    ): Promise<void> {
      const call = { ...get('/v1/audit/export'), headers: { accept: '*/*' }, timeoutMs: TRANSFER_TIMEOUT_MS };
      return transport.send(call, o, ({ body }, signal) => write(body, signal));
    },
    verifyAudit(o?: CallOptions): Promise<AuditVerification> {
      return transport.json(AuditVerification, { ...get('/v1/audit/verify'), timeoutMs: TRANSFER_TIMEOUT_MS }, o);
    },

    /** Tells what is not needed any more; with `delete`, removes it. Minutes, where there is much. */
    collect(body: CollectRequest = {}, o?: CallOptions): Promise<Collection> {
      const call: Call = { method: 'POST', path: '/v1/collect', json: body, idempotent: body.delete !== true };
      return transport.json(Collection, { ...call, timeoutMs: TRANSFER_TIMEOUT_MS }, o);
    },

    close: (): Promise<void> => transport.close(),
    [Symbol.asyncDispose]: (): Promise<void> => transport.close(),
  };
}
