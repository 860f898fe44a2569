/** Who may do what: principals, their API keys, scopes. */
import Type from 'typebox';
import { EpochMs, Id, Name, Revision, Sha256 } from './registry.ts';

const strict = { additionalProperties: false } as const;

export const SCOPES = ['score', 'read', 'register', 'promote', 'train', 'admin'] as const;
export const Scope = Type.Enum([...SCOPES], {
  $id: 'Scope',
  description:
    '`score`: call endpoints, and score files by batch jobs. `read`: see models, versions, datasets, jobs, predictions, audit. `register`: put blobs, register models, versions and datasets. `promote`: move aliases and endpoints, approve versions. `train`: create and cancel jobs. `admin`: everything, keys and gates included.',
});
export type Scope = Type.Static<typeof Scope>;

/**
 * The text of an API key: `assay_ID_SECRET`. The id is no secret and finds the key; the secret is 43 letters and digits,
 * 256 random bits. The secret has no `_`, so the last one divides the two.
 */
export const KEY_TEXT_PATTERN = '^assay_([A-Za-z0-9][A-Za-z0-9_-]{0,62})_([A-Za-z0-9]{43})$';

export const PRINCIPAL_KINDS = ['person', 'service'] as const;
export type PrincipalKind = (typeof PRINCIPAL_KINDS)[number];
export const Principal = Type.Object(
  {
    id: Id,
    name: Name,
    kind: Type.Enum([...PRINCIPAL_KINDS], { description: 'A person or service with several keys is one principal.' }),
    createdAt: EpochMs,
    createdBy: Type.String(),
  },
  { $id: 'Principal', ...strict },
);
export type Principal = Type.Static<typeof Principal>;

export const CreatePrincipal = Type.Object(
  { name: Name, kind: Type.Optional(Type.Enum([...PRINCIPAL_KINDS], { description: 'Default: person.' })) },
  { $id: 'CreatePrincipal', ...strict },
);
export type CreatePrincipal = Type.Static<typeof CreatePrincipal>;

export const ApiKey = Type.Object(
  {
    id: Id,
    principalId: Id,
    principalName: Name,
    principalKind: Type.Enum([...PRINCIPAL_KINDS]),
    scopes: Type.Array(Scope, { minItems: 1, maxItems: SCOPES.length }),
    endpoints: Type.Optional(
      Type.Array(Name, { minItems: 1, maxItems: 1000, description: 'Only these endpoints may be scored with it.' }),
    ),
    description: Type.String(),
    revision: Revision,
    createdAt: EpochMs,
    createdBy: Type.String(),
    revokedAt: Type.Union([EpochMs, Type.Null()]),
    revokedBy: Type.Union([Type.String(), Type.Null()]),
  },
  { $id: 'ApiKey', ...strict, description: 'What is known of a key; its text was shown once, when it was made.' },
);
export type ApiKey = Type.Static<typeof ApiKey>;

export const CreateKey = Type.Object(
  {
    principal: Type.String({ ...Name, description: 'Who acts with it; made where there is none of that name.' }),
    kind: Type.Optional(
      Type.Enum([...PRINCIPAL_KINDS], { description: 'Of a principal that is new. Default: person.' }),
    ),
    scopes: Type.Array(Scope, { minItems: 1, maxItems: SCOPES.length }),
    endpoints: Type.Optional(
      Type.Array(Name, {
        minItems: 1,
        maxItems: 1000,
        description: 'Only these endpoints may be scored with it. Absent: all of them.',
      }),
    ),
    description: Type.Optional(Type.String({ maxLength: 1000, description: 'What it is for, where it is kept.' })),
  },
  { $id: 'CreateKey', ...strict },
);
export type CreateKey = Type.Static<typeof CreateKey>;

export const UpdateKey = Type.Object(
  {
    expectedRevision: Type.Integer({ minimum: 0, description: 'The revision that was read.' }),
    scopes: Type.Optional(Type.Array(Scope, { minItems: 1, maxItems: SCOPES.length })),
    endpoints: Type.Optional(
      Type.Array(Name, {
        maxItems: 1000,
        description: 'Only these endpoints may be scored with it; empty: all of them.',
      }),
    ),
    description: Type.Optional(Type.String({ maxLength: 1000 })),
  },
  { $id: 'UpdateKey', ...strict },
);
export type UpdateKey = Type.Static<typeof UpdateKey>;

export const CreatedKey = Type.Object(
  {
    key: ApiKey,
    secret: Type.String({ description: 'The text to send as `Authorization: Bearer …`. Never shown again.' }),
  },
  { $id: 'CreatedKey', ...strict },
);
export type CreatedKey = Type.Static<typeof CreatedKey>;

/** What a service needs to check keys by itself: digests only. Revoked keys are left out. */
export const KeySnapshot = Type.Object(
  {
    revision: Revision,
    keys: Type.Array(
      Type.Object(
        {
          id: Id,
          secretSha256: Sha256,
          principalId: Id,
          principalName: Name,
          principalKind: Type.Enum([...PRINCIPAL_KINDS]),
          scopes: Type.Array(Type.String(), {
            description: 'A scope that the reader does not know grants nothing there.',
          }),
          endpoints: Type.Optional(Type.Array(Name)),
        },
        strict,
      ),
    ),
  },
  { $id: 'KeySnapshot', ...strict },
);
export type KeySnapshot = Type.Static<typeof KeySnapshot>;
