/** The registry's bodies: models, versions, aliases, endpoints, the routing snapshot, audit. */
import Type from 'typebox';
import { Feature, Output, Signature } from './signature.ts';

const strict = { additionalProperties: false } as const;

/** Model, endpoint and alias names: what is safe in a path, a file name, a topic name and a Kubernetes label. */
export const NAME_PATTERN = '^[a-zA-Z0-9]([a-zA-Z0-9._-]{0,126}[a-zA-Z0-9])?$';
export const Name = Type.String({
  pattern: NAME_PATTERN,
  maxLength: 128,
  description: 'Letters, digits, `.`, `_` and `-`; begins and ends with a letter or digit; at most 128 characters.',
});
export const Id = Type.String({ minLength: 1, maxLength: 64, description: 'Immutable; never used again.' });
export const Sha256 = Type.String({ pattern: '^[0-9a-f]{64}$', description: 'SHA-256, 64 hex digits.' });
export const Revision = Type.Integer({
  minimum: 0,
  description: 'Grows with each change; a write names the one it saw.',
});
export const EpochMs = Type.Integer({ description: 'Milliseconds since 1970-01-01T00:00:00Z.' });
export const DeletedAt = Type.Optional(
  Type.Integer({ ...EpochMs, description: 'When it was deleted; absent while it is there.' }),
);
export const Tags = Type.Record(Type.String({ minLength: 1, maxLength: 128 }), Type.String({ maxLength: 4096 }));

export const Model = Type.Object(
  {
    id: Id,
    name: Name,
    description: Type.String(),
    revision: Revision,
    latestVersion: Type.Union([Type.Integer(), Type.Null()], { description: 'The highest version number, if any.' }),
    aliases: Type.Record(Name, Type.Integer(), { description: 'Alias → version number.' }),
    tags: Type.Optional(Type.Record(Type.String(), Type.String(), { description: 'Absent without any.' })),
    createdAt: EpochMs,
    updatedAt: EpochMs,
    deletedAt: DeletedAt,
  },
  { $id: 'Model', ...strict },
);
export type Model = Type.Static<typeof Model>;

/** What people say of a model: as much as MLflow's clients may say. */
export const ModelSettings = {
  description: Type.String({ maxLength: 100_000 }),
  tags: Type.Record(Type.String({ minLength: 1, maxLength: 250 }), Type.String({ maxLength: 100_000 }), {
    maxProperties: 1000,
  }),
};

export const CreateModel = Type.Object(
  {
    name: Name,
    description: Type.Optional(ModelSettings.description),
    tags: Type.Optional(ModelSettings.tags),
  },
  { $id: 'CreateModel', ...strict },
);
export type CreateModel = Type.Static<typeof CreateModel>;

export const UpdateModel = Type.Object(
  {
    expectedRevision: Type.Integer({ minimum: 0, description: 'The revision that was read.' }),
    name: Type.Optional(Name),
    description: Type.Optional(ModelSettings.description),
    tags: Type.Optional(ModelSettings.tags),
  },
  { $id: 'UpdateModel', ...strict },
);
export type UpdateModel = Type.Static<typeof UpdateModel>;

/** A file of a package, by content: the bytes are in the blob store under their digest. */
export const PackageFile = Type.Object(
  {
    path: Type.String({
      pattern: '^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,127}){0,7}$',
      description: 'Relative, `/`-separated, no `..`, no hidden segment.',
    }),
    sha256: Sha256,
    sizeBytes: Type.Integer({ minimum: 0 }),
  },
  { $id: 'PackageFile', ...strict },
);
export type PackageFile = Type.Static<typeof PackageFile>;

export const CreateVersion = Type.Object(
  {
    files: Type.Array(PackageFile, {
      minItems: 1,
      maxItems: 1000,
      description: 'The whole package; each file was put under its digest before (`PUT /v1/blobs/{sha256}`).',
    }),
    description: Type.Optional(Type.String({ maxLength: 10_000 })),
    tags: Type.Optional(Tags),
    idempotencyKey: Type.Optional(
      Type.String({ minLength: 1, maxLength: 128, description: 'The same key gives the version that it made before.' }),
    ),
  },
  { $id: 'CreateVersion', ...strict },
);
export type CreateVersion = Type.Static<typeof CreateVersion>;

export const Version = Type.Object(
  {
    id: Id,
    modelId: Id,
    modelName: Name,
    version: Type.Integer({ minimum: 1, description: 'For people: 1, 2, 3 within the model.' }),
    digest: Sha256,
    files: Type.Array(PackageFile),
    signature: Type.Object(
      { features: Type.Array(Feature), outputs: Type.Array(Output) },
      { ...strict, description: 'What it takes and gives; empty for a version that is not servable.' },
    ),
    metrics: Type.Record(Type.String(), Type.Number(), { description: 'From the package: metrics of its evaluation.' }),
    aliases: Type.Array(Name),
    description: Type.String(),
    tags: Tags,
    createdAt: EpochMs,
    createdBy: Type.String({ description: 'The principal that registered it.' }),
    notServable: Type.Optional(
      Type.String({ description: 'Why no endpoint can serve it; its files are then those of MLflow alone.' }),
    ),
    deletedAt: DeletedAt,
  },
  { $id: 'Version', ...strict },
);
export type Version = Type.Static<typeof Version>;

export const Alias = Type.Object(
  {
    modelId: Id,
    modelName: Name,
    alias: Name,
    versionId: Id,
    version: Type.Integer(),
    revision: Revision,
    movedAt: EpochMs,
    movedBy: Type.String(),
  },
  { $id: 'Alias', ...strict },
);
export type Alias = Type.Static<typeof Alias>;

/** Moves in spite of gates that are not met. */
export const Force = Type.Object(
  {
    reason: Type.String({
      minLength: 1,
      maxLength: 2000,
      pattern: '\\S',
      description: 'Why; it stands in the audit trail.',
    }),
  },
  { $id: 'Force', ...strict, description: 'Moves in spite of gates that are not met; needs the scope `admin`.' },
);
export type Force = Type.Static<typeof Force>;

export const MoveAlias = Type.Object(
  {
    version: Type.Union([Type.Integer({ minimum: 1 }), Id], { description: 'A version number or a version id.' }),
    expectedRevision: Type.Integer({
      minimum: 0,
      description: 'The revision that was read; 0 for an alias not there yet.',
    }),
    force: Type.Optional(Force),
  },
  { $id: 'MoveAlias', ...strict },
);
export type MoveAlias = Type.Static<typeof MoveAlias>;

export const Variant = Type.Object(
  {
    versionId: Id,
    weight: Type.Integer({
      minimum: 0,
      maximum: 10_000,
      description: 'Hundredths of a percent; weights sum to 10,000.',
    }),
  },
  { $id: 'Variant', ...strict },
);
export type Variant = Type.Static<typeof Variant>;

export const Follow = Type.Object(
  {
    modelId: Id,
    alias: Name,
    strategy: Type.Enum(['immediate'], { description: '`immediate`: a move of the alias is a move of the endpoint.' }),
  },
  { $id: 'Follow', ...strict },
);
export type Follow = Type.Static<typeof Follow>;

/** What an endpoint takes from its callers, in each replica of the inference service; what is not named is not limited. */
export const EndpointLimits = Type.Object(
  {
    requestsPerSecond: Type.Optional(
      Type.Number({ exclusiveMinimum: 0, maximum: 1_000_000, description: 'More are refused with RATE_LIMITED.' }),
    ),
    rowsPerSecond: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 100_000_000,
        description:
          'Records, or rows of tensors. A request with more than fit a burst is taken when nothing is owed, and paid off.',
      }),
    ),
    burstMs: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 60_000,
        description: 'How much of both rates may be used at once, as time: default 1000, a second of them.',
      }),
    ),
    concurrency: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 1_000_000, description: 'Requests that are being answered at once.' }),
    ),
    rowsPerRequest: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 100_000_000, description: 'More are PAYLOAD_TOO_LARGE.' }),
    ),
    bytesPerRequest: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 2 ** 31,
        description: 'Of the body, decompressed: more are PAYLOAD_TOO_LARGE.',
      }),
    ),
    timeoutMs: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 600_000,
        description: 'The longest that a request waits, whatever it asks for.',
      }),
    ),
  },
  { $id: 'EndpointLimits', ...strict },
);
export type EndpointLimits = Type.Static<typeof EndpointLimits>;

/** Answers are used again for equal rows, in each replica of the inference service and by each version for itself. */
export const EndpointCache = Type.Object(
  {
    maxBytes: Type.Integer({
      minimum: 0,
      maximum: 2 ** 36,
      description: 'Memory for rows and their outputs, of all versions of the endpoint; 0 keeps none.',
    }),
    maxAgeMs: Type.Integer({
      minimum: 1,
      maximum: 2_592_000_000,
      description: 'Outputs that were scored longer ago answer nobody.',
    }),
    coalesce: Type.Optional(
      Type.Boolean({ description: 'Default true: equal rows that are asked for at the same time are scored once.' }),
    ),
  },
  { $id: 'EndpointCache', ...strict },
);
export type EndpointCache = Type.Static<typeof EndpointCache>;

/** A version that is given what an endpoint's callers send, and whose answers no caller sees: they are compared. */
export const Shadow = Type.Object(
  {
    versionId: Id,
    ratio: Type.Number({ exclusiveMinimum: 0, maximum: 1, description: 'The share of requests that it is given too.' }),
    finishAfterRows: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 1_000_000_000, description: 'Rows after which the comparison is finished.' }),
    ),
  },
  { $id: 'Shadow', ...strict },
);
export type Shadow = Type.Static<typeof Shadow>;

/** Of an endpoint for which nobody said another. */
export const DEFAULT_ENDPOINT_TIMEOUT_MS = 10_000;

export const Endpoint = Type.Object(
  {
    id: Id,
    name: Name,
    contract: Signature,
    variants: Type.Array(Variant, { minItems: 1, maxItems: 16 }),
    follow: Type.Optional(Follow),
    salt: Type.String({ description: 'Seeds the hash that sends a key to its variant.' }),
    defaultTimeoutMs: Type.Integer({ minimum: 1, maximum: 600_000 }),
    limits: Type.Optional(EndpointLimits),
    cache: Type.Optional(EndpointCache),
    shadows: Type.Optional(Type.Array(Shadow)),
    revision: Revision,
    createdAt: EpochMs,
    updatedAt: EpochMs,
    updatedBy: Type.String(),
  },
  { $id: 'Endpoint', ...strict },
);
export type Endpoint = Type.Static<typeof Endpoint>;

/** Where an endpoint sends its traffic: fixed variants, or whatever an alias points at. */
export const PutEndpoint = Type.Object(
  {
    expectedRevision: Type.Integer({ minimum: 0, description: 'The revision that was read; 0 to create it.' }),
    variants: Type.Optional(Type.Array(Variant, { minItems: 1, maxItems: 16 })),
    follow: Type.Optional(
      Type.Object({ model: Type.String(), alias: Name, strategy: Type.Optional(Type.Enum(['immediate'])) }, strict),
    ),
    contract: Type.Optional(Signature),
    defaultTimeoutMs: Type.Optional(Type.Integer({ minimum: 1, maximum: 600_000 })),
    limits: Type.Optional(EndpointLimits),
    cache: Type.Optional(Type.Union([EndpointCache, Type.Null()], { description: 'null removes it.' })),
    shadows: Type.Optional(Type.Array(Shadow, { maxItems: 4 })),
    force: Type.Optional(Force),
  },
  { $id: 'PutEndpoint', ...strict },
);
export type PutEndpoint = Type.Static<typeof PutEndpoint>;

/** One entry of the hash chain. `hash` covers every other field, `previousHash` included. */
export const AuditEntry = Type.Object(
  {
    sequence: Type.Integer({ minimum: 1 }),
    id: Id,
    at: EpochMs,
    principal: Type.String(),
    action: Type.String({ description: '`alias.move`, `version.register`, …' }),
    resource: Type.String({ description: '`model/mdl_…`, `endpoint/ept_…`' }),
    requestId: Type.String(),
    detailsSha256: Sha256,
    previousHash: Sha256,
    hash: Sha256,
    details: Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.Null()], {
      description: 'What changed; null once erased. The chain holds its digest only.',
    }),
  },
  { $id: 'AuditEntry', ...strict },
);
export type AuditEntry = Type.Static<typeof AuditEntry>;

export const AuditVerification = Type.Object(
  {
    valid: Type.Boolean(),
    entries: Type.Integer({ description: 'How many entries were checked.' }),
    headHash: Sha256,
    firstBadSequence: Type.Optional(Type.Integer()),
    reason: Type.Optional(Type.String()),
    checkpoints: Type.Optional(
      Type.Integer({ description: 'How many signed checkpoints it was compared with; absent where none are made.' }),
    ),
  },
  { $id: 'AuditVerification', ...strict },
);
export type AuditVerification = Type.Static<typeof AuditVerification>;

/** A page of a list; `next` is the cursor of the following one, absent on the last. */
export function Page<S extends Type.TSchema>(item: S, id: string) {
  return Type.Object({ items: Type.Array(item), next: Type.Optional(Type.String()) }, { $id: id, ...strict });
}
export interface Page<T> {
  items: T[];
  next?: string;
}

export const PageQuery = Type.Object(
  {
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 100 })),
    after: Type.Optional(Type.String({ description: '`next` of the page before.' })),
  },
  strict,
);
export type PageQuery = Type.Static<typeof PageQuery>;
