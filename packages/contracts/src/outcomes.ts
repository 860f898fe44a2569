/** Outcomes: what a prediction turned out to be, told later by whoever learns it. */
import Type from 'typebox';
import { EpochMs, Name } from './registry.ts';

const strict = { additionalProperties: false } as const;

/** The true value of what was predicted: a class as the model names it, or a number. */
export const OutcomeValue = Type.Union([Type.Boolean(), Type.Number(), Type.String({ maxLength: 1024 })], {
  description: 'A class as the model names it (a boolean, an integer, a text), or a number.',
});

export const ReportOutcomes = Type.Object(
  {
    endpoint: Name,
    outcomes: Type.Array(
      Type.Object(
        {
          predictionId: Type.String({ minLength: 1, maxLength: 256, description: 'As the answer gave it.' }),
          value: OutcomeValue,
          at: Type.Optional({ ...EpochMs, description: 'When it came true, milliseconds since 1970; default: now.' }),
        },
        strict,
      ),
      { minItems: 1, maxItems: 1000 },
    ),
  },
  { $id: 'ReportOutcomes', ...strict },
);
export type ReportOutcomes = Type.Static<typeof ReportOutcomes>;

export const OutcomesReported = Type.Object(
  { accepted: Type.Integer({ description: 'They are durable in the event log.' }) },
  { $id: 'OutcomesReported', ...strict },
);
export type OutcomesReported = Type.Static<typeof OutcomesReported>;

export const OUTCOME_REPORTED = 'assay.outcomes.reported.v1';

/**
 * `data` of an event of the type `assay.outcomes.reported.v1`, whose subject is the prediction: of several for one
 * prediction the last one counts.
 */
export const ReportedOutcome = Type.Object(
  {
    predictionId: Type.String(),
    endpointId: Type.String(),
    endpointName: Name,
    value: OutcomeValue,
    at: EpochMs,
    reportedAt: EpochMs,
    reportedBy: Type.String({ description: 'The principal that told it.' }),
  },
  { $id: 'ReportedOutcome' },
);
export type ReportedOutcome = Type.Static<typeof ReportedOutcome>;
