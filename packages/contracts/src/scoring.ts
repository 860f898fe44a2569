/** The scoring door's bodies: named records in, predictions out. */
import Type from 'typebox';
import { Id, Name, Sha256 } from './registry.ts';

/**
 * The body of `POST /v1/endpoints/{name}/score`. Records are checked by the encoder made from the endpoint's signature,
 * not by this schema; `GET /v1/endpoints/{name}/signature` gives the exact JSON Schema of one endpoint.
 */
export const ScoreRequest = Type.Object(
  {
    records: Type.Array(Type.Record(Type.String(), Type.Unknown()), {
      minItems: 1,
      description: 'Named features, one object a record.',
    }),
    explain: Type.Optional(
      Type.Boolean({ description: 'Adds to each prediction what each feature contributed. Default false.' }),
    ),
  },
  { $id: 'ScoreRequest', additionalProperties: false },
);
export type ScoreRequest = Type.Static<typeof ScoreRequest>;

/** Additive: `baseValue` and all contributions together are `rawScore`. */
export const Explanation = Type.Object(
  {
    baseValue: Type.Number({ description: 'The mean raw score over the training data.' }),
    rawScore: Type.Number({ description: 'Before sigmoid and calibration: log-odds, for a binary classifier.' }),
    contributions: Type.Record(Type.String(), Type.Unknown(), {
      description: 'By feature, what its value added to the raw score (TreeSHAP); of a vector one an element.',
    }),
  },
  { $id: 'Explanation', additionalProperties: false },
);
export type Explanation = Type.Static<typeof Explanation>;

export const Prediction = Type.Object(
  {
    id: Type.String({ description: 'Time-ordered and unique; outcomes refer to it.' }),
    outputs: Type.Record(Type.String(), Type.Unknown(), {
      description: 'By output name, as the signature types them.',
    }),
    explanation: Type.Optional(Explanation),
    cached: Type.Optional(
      Type.Boolean({ description: 'True where the outputs are those of an equal record, scored before or just now.' }),
    ),
  },
  { $id: 'Prediction', additionalProperties: false },
);
export type Prediction = Type.Static<typeof Prediction>;

export const ScoreResponse = Type.Object(
  {
    model: Name,
    version: Type.Integer(),
    versionId: Id,
    digest: Sha256,
    routingRevision: Type.Integer({ description: 'The revision of the endpoint that routed this request.' }),
    predictions: Type.Array(Prediction, { description: 'In the order of the records.' }),
  },
  { $id: 'ScoreResponse', additionalProperties: false },
);
export type ScoreResponse = Type.Static<typeof ScoreResponse>;
