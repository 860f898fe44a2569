/** The bodies that only this service speaks. */
import { EndpointCache, EndpointLimits, Id, Name, Sha256, Signature } from '@assay/contracts';
import Type from 'typebox';

const strict = { additionalProperties: false } as const;

const ServedVariant = Type.Object(
  {
    versionId: Id,
    model: Name,
    version: Type.Integer(),
    digest: Sha256,
    weight: Type.Integer({ description: 'Hundredths of a percent of the keys.' }),
    live: Type.Boolean({ description: 'Whether it is in memory and answers.' }),
    scorer: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), { description: 'What was measured when it was loaded.' }),
    ),
  },
  strict,
);

const ServedShadow = Type.Object(
  {
    versionId: Id,
    model: Name,
    version: Type.Integer(),
    digest: Sha256,
    ratio: Type.Number({ description: 'The share of requests that it is given too.' }),
    live: Type.Boolean({ description: 'Whether it is in memory and compared.' }),
  },
  strict,
);

export const EndpointStatus = Type.Object(
  {
    id: Id,
    name: Name,
    revision: Type.Union([Type.Integer(), Type.Null()], { description: 'The revision that answers now.' }),
    wantedRevision: Type.Integer({ description: 'The newest one; the same once every version is loaded.' }),
    defaultTimeoutMs: Type.Integer(),
    limits: Type.Optional(EndpointLimits),
    cache: Type.Optional(EndpointCache),
    variants: Type.Array(ServedVariant),
    shadows: Type.Optional(Type.Array(ServedShadow)),
    problem: Type.Optional(Type.String({ description: 'Why the newest revision does not answer, or not wholly.' })),
  },
  { $id: 'EndpointStatus', ...strict },
);
export type EndpointStatus = Type.Static<typeof EndpointStatus>;

export const EndpointStatusList = Type.Object(
  { routingRevision: Type.Union([Type.Integer(), Type.Null()]), items: Type.Array(EndpointStatus) },
  { $id: 'EndpointStatusList', ...strict },
);
export type EndpointStatusList = Type.Static<typeof EndpointStatusList>;

export const EndpointDetails = Type.Object(
  { ...EndpointStatus.properties, contract: Signature },
  { $id: 'EndpointDetails', ...strict },
);
export type EndpointDetails = Type.Static<typeof EndpointDetails>;
