/**
 * Everything as files: a resource of the registry as a document that a team keeps under version control.
 *
 *     kind: Endpoint
 *     name: flight-delay
 *     spec:
 *       follow: { model: flight-delay, alias: champion }
 *
 * A document says all of its resource: what `spec` leaves out has its default. With `absent: true` in the place of `spec`
 * it says that there is none. Versions are named by model and number, so that the same files fit another registry.
 */
import Type, { type TSchema } from 'typebox';
import { PRINCIPAL_KINDS, SCOPES, Scope } from './access.ts';
import { Gates } from './gates.ts';
import { EndpointCache, EndpointLimits, Id, ModelSettings, NAME_PATTERN, Name, Shadow, Variant } from './registry.ts';
import { Signature } from './signature.ts';
import { PipelineSpec } from './streaming.ts';
import { TrainingSpec } from './training.ts';
import { UpdateWebhook } from './webhooks.ts';

const strict = { additionalProperties: false } as const;

/** What every document is, whatever its kind. */
export type ResourceDocument =
  | { readonly kind: string; readonly name: string; readonly spec: unknown }
  | { readonly kind: string; readonly name: string; readonly absent: true };

function documentOf(kind: string, name: TSchema, spec: TSchema) {
  return Type.Object({ kind: Type.Literal(kind), name, spec }, strict);
}

/** Of a kind that can be deleted. */
function documentOrAbsence(kind: string, name: TSchema, spec: TSchema) {
  const absence = Type.Object({ kind: Type.Literal(kind), name, absent: Type.Literal(true) }, strict);
  return Type.Union([documentOf(kind, name, spec), absence]);
}

export const ModelSpec = Type.Object(
  { description: Type.Optional(ModelSettings.description), tags: Type.Optional(ModelSettings.tags) },
  strict,
);
export type ModelSpec = Type.Static<typeof ModelSpec>;
export const ModelDocument = documentOf('Model', Name, ModelSpec);

export const GatesDocument = documentOrAbsence('Gates', Type.String({ ...Name, description: 'Of the model.' }), Gates);

const VersionNumber = Type.Integer({ minimum: 1, description: 'Of the model; it must be there.' });

export const AliasSpec = Type.Object({ version: VersionNumber }, strict);
export type AliasSpec = Type.Static<typeof AliasSpec>;
export const AliasDocument = documentOrAbsence(
  'Alias',
  Type.String({
    pattern: `${NAME_PATTERN.slice(0, -1)}@${NAME_PATTERN.slice(1)}`,
    maxLength: 257,
    description: 'MODEL@ALIAS',
  }),
  AliasSpec,
);

export const EndpointSpec = Type.Object(
  {
    follow: Type.Optional(Type.Object({ model: Name, alias: Name }, { ...strict, description: 'Or `variants`.' })),
    variants: Type.Optional(
      Type.Array(Type.Object({ model: Name, version: VersionNumber, weight: Variant.properties.weight }, strict), {
        minItems: 1,
        maxItems: 16,
        description: 'Weights sum to 10,000.',
      }),
    ),
    contract: Type.Optional(
      Signature, // left out it stays as it is; a new endpoint then gets the signature of its first version
    ),
    defaultTimeoutMs: Type.Optional(Type.Integer({ minimum: 1, maximum: 600_000 })),
    limits: Type.Optional(EndpointLimits),
    cache: Type.Optional(EndpointCache),
    shadows: Type.Optional(
      Type.Array(
        Type.Object(
          {
            model: Name,
            version: VersionNumber,
            ratio: Shadow.properties.ratio,
            finishAfterRows: Shadow.properties.finishAfterRows,
          },
          strict,
        ),
        { maxItems: 4 },
      ),
    ),
  },
  strict,
);
export type EndpointSpec = Type.Static<typeof EndpointSpec>;
export const EndpointDocument = documentOrAbsence('Endpoint', Name, EndpointSpec);

export const PipelineDocument = documentOrAbsence('Pipeline', Name, PipelineSpec);

export const TrainingSpecDocument = documentOrAbsence('TrainingSpec', Name, TrainingSpec);

/** The secret is in no file. */
export const WebhookSpec = Type.Object(
  {
    events: UpdateWebhook.properties.events,
    models: Type.Optional(Type.Array(Name, { maxItems: 100, uniqueItems: true, description: 'Empty: all of them.' })),
    description: UpdateWebhook.properties.description,
    enabled: Type.Optional(Type.Boolean()),
  },
  strict,
);
export type WebhookSpec = Type.Static<typeof WebhookSpec>;
export const WebhookDocument = documentOrAbsence(
  'Webhook',
  Type.String({ minLength: 1, maxLength: 2000, description: 'Its address, or its id where several have one address.' }),
  WebhookSpec,
);

export const PrincipalSpec = Type.Object({ kind: Type.Enum([...PRINCIPAL_KINDS]) }, strict);
export type PrincipalSpec = Type.Static<typeof PrincipalSpec>;
export const PrincipalDocument = documentOf('Principal', Name, PrincipalSpec);

/** Of a key that was made before: its text is in no file. */
export const KeySpec = Type.Object(
  {
    principal: Type.String({ ...Name, description: 'Whose it is; that does not change.' }),
    scopes: Type.Array(Scope, { minItems: 1, maxItems: SCOPES.length, uniqueItems: true }),
    endpoints: Type.Optional(Type.Array(Name, { minItems: 1, maxItems: 1000, uniqueItems: true })),
    description: Type.Optional(Type.String({ maxLength: 1000 })),
    revoked: Type.Optional(Type.Boolean({ description: 'For good.' })),
  },
  strict,
);
export type KeySpec = Type.Static<typeof KeySpec>;
export const KeyDocument = documentOf('Key', Id, KeySpec);
