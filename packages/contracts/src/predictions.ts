/** The prediction log: what was asked, what was answered, and by which bits, so that it can be replayed. */
import Type from 'typebox';
import { EpochMs, Id, Name, Sha256 } from './registry.ts';

const strict = { additionalProperties: false } as const;

export const DOORS = ['rest', 'oip', 'grpc', 'kafka', 'batch'] as const;

export const LoggedPrediction = Type.Object(
  {
    id: Type.String(),
    at: EpochMs,
    door: Type.Enum([...DOORS]),
    endpointId: Id,
    endpointName: Name,
    modelName: Name,
    version: Type.Integer(),
    versionId: Id,
    digest: Sha256,
    routingRevision: Type.Integer(),
    executionClass: Type.String({ description: 'Predictions of one class are equal bit for bit.' }),
    record: Type.Record(Type.String(), Type.Unknown()),
    outputs: Type.Record(Type.String(), Type.Unknown()),
  },
  { $id: 'LoggedPrediction', ...strict },
);
export type LoggedPrediction = Type.Static<typeof LoggedPrediction>;

export const Replay = Type.Object(
  {
    id: Type.String(),
    same: Type.Boolean({ description: 'Whether the same version gave the same bits again.' }),
    sameExecutionClass: Type.Boolean({ description: 'Only then the same bits are promised.' }),
    logged: Type.Record(Type.String(), Type.Unknown()),
    replayed: Type.Record(Type.String(), Type.Unknown()),
  },
  { $id: 'Replay', ...strict },
);
export type Replay = Type.Static<typeof Replay>;
