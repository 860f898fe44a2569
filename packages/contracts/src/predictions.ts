/** The prediction log: what was asked, what was answered, and by which bits, so that it can be replayed. */
import Type from 'typebox';
import { EpochMs, Id, Name, Sha256 } from './registry.ts';

const strict = { additionalProperties: false } as const;

export const DOORS = ['rest', 'oip', 'grpc', 'kafka', 'batch'] as const;
export const Door = Type.Enum([...DOORS], { description: 'The door by which the prediction was asked for.' });
export type Door = Type.Static<typeof Door>;

/** All that is known of a logged prediction but its record and outputs. */
export const PredictionFacts = {
  id: Type.String({ minLength: 1, maxLength: 256, description: 'As the caller got it.' }),
  at: EpochMs,
  door: Door,
  endpointId: Id,
  endpointName: Name,
  modelName: Name,
  version: Type.Integer(),
  versionId: Id,
  digest: Sha256,
  routingRevision: Type.Integer({ description: 'The revision of the endpoint that routed it.' }),
  executionClass: Type.String({ description: 'Predictions of one class are equal bit for bit.' }),
  traceId: Type.Optional(
    Type.String({
      pattern: '^[0-9a-f]{32}$',
      description: 'The trace that asked for it (W3C trace context), where it was asked as part of one.',
    }),
  ),
  cached: Type.Optional(
    Type.Boolean({
      description: 'True where the outputs are those of an equal record, scored before or at that time.',
    }),
  ),
};

/**
 * A prediction on its way to the log. Record and outputs are texts, so that no JSON parser on the way (an event log, a
 * Kafka client) rounds an int64: JSON in which integers have all their digits, negative zero is `-0`, and what JSON has no
 * number for is the string `"NaN"`, `"Infinity"` or `"-Infinity"`.
 */
export const PredictionEntry = Type.Object(
  {
    ...PredictionFacts,
    record: Type.String({ description: 'JSON, exact: the record as it was asked.' }),
    outputs: Type.String({ description: 'JSON, exact: the outputs by name.' }),
  },
  { $id: 'PredictionEntry' },
);
export type PredictionEntry = Type.Static<typeof PredictionEntry>;

export const PREDICTIONS_LOGGED = 'assay.predictions.logged.v1';

/** `data` of an event of the type `assay.predictions.logged.v1`. */
export const PredictionsLogged = Type.Object(
  { predictions: Type.Array(PredictionEntry, { minItems: 1 }) },
  { $id: 'PredictionsLogged' },
);
export type PredictionsLogged = Type.Static<typeof PredictionsLogged>;

export const LoggedPrediction = Type.Object(
  {
    ...PredictionFacts,
    record: Type.Record(Type.String(), Type.Unknown()),
    outputs: Type.Record(Type.String(), Type.Unknown(), {
      description:
        'Exact: int64 with all digits, `-0`, and NaN and infinite values as the strings "NaN", "Infinity", "-Infinity".',
    }),
  },
  { $id: 'LoggedPrediction', ...strict },
);
export type LoggedPrediction = Type.Static<typeof LoggedPrediction>;

export const LoggedPredictions = Type.Object(
  { items: Type.Array(LoggedPrediction, { description: 'Newest first.' }) },
  { $id: 'LoggedPredictions', ...strict },
);
export type LoggedPredictions = Type.Static<typeof LoggedPredictions>;

export const Replay = Type.Object(
  {
    id: Type.String(),
    versionId: Id,
    digest: Sha256,
    same: Type.Boolean({ description: 'Whether the same version gave the same bits again.' }),
    sameExecutionClass: Type.Boolean({ description: 'Only then the same bits are promised.' }),
    executionClass: Type.Object({ logged: Type.String(), replayed: Type.String() }, strict),
    batchInvariant: Type.Boolean({
      description: 'False for a model whose rows get other bits in other company: the same bits are not promised.',
    }),
    differences: Type.Array(Type.String(), { description: 'The names of the outputs that differ.' }),
    logged: Type.Record(Type.String(), Type.Unknown()),
    replayed: Type.Record(Type.String(), Type.Unknown()),
  },
  { $id: 'Replay', ...strict },
);
export type Replay = Type.Static<typeof Replay>;
