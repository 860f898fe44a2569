/** The registry's own bodies and parameters; what others share is in contracts. */
import { DeliveryState, Id, NAME_PATTERN, Name, PageQuery, Revision, Sha256 } from '@assay/contracts';
import Type from 'typebox';

const strict = { additionalProperties: false } as const;

export const BlobReceipt = Type.Object(
  { sha256: Sha256, sizeBytes: Type.Integer({ minimum: 0 }) },
  { $id: 'BlobReceipt', ...strict },
);

/** A name or an id: as long as either may be, and nothing that is neither. */
const NameOrId = Type.String({ pattern: NAME_PATTERN, maxLength: 128, description: 'A name, or an id.' });

const deleted = {
  deleted: Type.Optional(
    Type.Boolean({ description: '`true`: those that were deleted and can be restored, and no others.' }),
  ),
};
export const DeletablePageQuery = Type.Object({ ...PageQuery.properties, ...deleted }, strict);

export const ModelParams = Type.Object({ model: NameOrId }, strict);
export const VersionParams = Type.Object(
  {
    model: NameOrId,
    version: Type.String({ pattern: NAME_PATTERN, maxLength: 128, description: 'A version number, or a version id.' }),
  },
  strict,
);
export const AliasParams = Type.Object({ model: NameOrId, alias: Name }, strict);
export const GateReportQuery = Type.Object(
  { alias: Type.Optional(Type.String({ ...Name, description: 'Default: `champion`.' })) },
  strict,
);
export const EndpointParams = Type.Object({ name: Name }, strict);
/** Of a pipeline or a training spec. */
export const DocumentParams = Type.Object({ name: Name }, strict);
export const BlobParams = Type.Object({ sha256: Sha256 }, strict);
export const VersionIdParams = Type.Object({ id: NameOrId }, strict);
export const VersionFileParams = Type.Object(
  {
    id: NameOrId,
    '*': Type.String({ minLength: 1, maxLength: 1100, description: 'The path of a file of the package.' }),
  },
  strict,
);

export const DatasetParams = Type.Object({ name: Name }, strict);
const DatasetNumber = Type.String({
  pattern: '^(latest|[1-9][0-9]{0,14})$',
  maxLength: 15,
  description: 'A version number, or `latest`.',
});
export const DatasetVersionParams = Type.Object({ name: Name, version: DatasetNumber }, strict);
export const DatasetFileParams = Type.Object(
  { name: Name, version: DatasetNumber, file: Type.String({ minLength: 1, maxLength: 200 }) },
  strict,
);

export const LineageQuery = Type.Object(PageQuery.properties, strict);

export const DatasetChangesQuery = Type.Object(
  {
    since: Type.Optional(
      Type.Integer({ minimum: 1, description: 'The version to compare with; without it the one before.' }),
    ),
  },
  strict,
);

export const DatasetNumberParams = Type.Object(
  { name: Name, version: Type.Integer({ minimum: 1, description: 'A version number.' }) },
  strict,
);

export const ExpectedRevisionQuery = Type.Object(
  { expectedRevision: Type.Integer({ minimum: 0, description: 'The revision that was read.' }) },
  strict,
);

export const RoutingQuery = Type.Object(
  {
    after: Type.Optional(Revision),
    waitMs: Type.Optional(Type.Integer({ minimum: 0, description: 'How long to wait for a revision above `after`.' })),
  },
  strict,
);

export const KeyParams = Type.Object({ id: Id }, strict);

export const PrincipalParams = Type.Object({ name: Name }, strict);

export const KeysQuery = Type.Object({ ...PageQuery.properties, principal: Type.Optional(Name) }, strict);

export const WebhookParams = Type.Object({ id: Id }, strict);
export const DeliveryParams = Type.Object({ id: Id, delivery: Id }, strict);
export const DeliveriesQuery = Type.Object({ ...PageQuery.properties, state: Type.Optional(DeliveryState) }, strict);

export const CheckpointsQuery = Type.Object(
  {
    after: Type.Optional(
      Type.Integer({ minimum: 0, description: 'Checkpoints of a higher sequence; `next` of the page before.' }),
    ),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 100 })),
  },
  strict,
);

export const AuditQuery = Type.Object(
  {
    after: Type.Optional(
      Type.Integer({ minimum: 0, description: 'Entries with a higher sequence; `next` of the page before.' }),
    ),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 100 })),
    principal: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
    action: Type.Optional(Type.String({ minLength: 1, maxLength: 128, description: '`alias.move`, for instance.' })),
    resource: Type.Optional(Type.String({ minLength: 1, maxLength: 256, description: '`model/mdl_…`, for instance.' })),
    resourceType: Type.Optional(
      Type.String({
        pattern: '^[a-z][a-z-]{0,63}$',
        description: '`model`, `version`, `endpoint`, `dataset-version`, `key`, …',
      }),
    ),
    from: Type.Optional(Type.Integer({ minimum: 0, description: 'Not before this time, in milliseconds since 1970.' })),
    to: Type.Optional(Type.Integer({ minimum: 0, description: 'Not after this time, in milliseconds since 1970.' })),
    until: Type.Optional(Type.Integer({ minimum: 1, description: 'No entry with a higher sequence.' })),
  },
  strict,
);
