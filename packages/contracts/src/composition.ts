/** A composition: versions chained and combined into one version, as a person writes it down. */
import Type from 'typebox';
import { Name } from './registry.ts';

const strict = { additionalProperties: false } as const;

const Reference = Type.String({
  minLength: 1,
  maxLength: 400,
  description:
    'What a step gives: `STEP.OUTPUT`, `STEP` where it gives one thing, `STEP.OUTPUT[1]` for a position of a vector (from 0).',
});
export const StepName = Type.String({
  pattern: '^[a-zA-Z][a-zA-Z0-9_-]{0,63}$',
  description: 'Begins with a letter; letters, digits, `_` and `-`.',
});

const MAX_COMBINED = 100;
const several = (description: string) => Type.Array(Reference, { minItems: 1, maxItems: MAX_COMBINED, description });
const weights = Type.Optional(
  Type.Array(Type.Number({ exclusiveMinimum: 0, maximum: 1e9 }), {
    minItems: 1,
    maxItems: MAX_COMBINED,
    description: 'One for each, in proportion. Default: all alike.',
  }),
);
const Knots = Type.Array(Type.Number({ minimum: 0, maximum: 1 }), { minItems: 1, maxItems: 10_000 });

const VersionStep = Type.Object(
  {
    version: Type.String({
      pattern: '^[a-zA-Z0-9]([a-zA-Z0-9._-]{0,126}[a-zA-Z0-9])?(@[a-zA-Z0-9][a-zA-Z0-9._-]{0,127})?$',
      description: '`MODEL@VERSION`: a number or an alias, `champion` where it is left out.',
    }),
    inputs: Type.Optional(
      Type.Record(
        Type.String(),
        Type.Union([Reference, Type.Object({ feature: Type.String({ minLength: 1, maxLength: 256 }) }, strict)]),
        {
          description:
            'Of its features: what a step before it gives, or `{feature: NAME}`. One that is not listed is the feature of its own name.',
        },
      ),
    ),
  },
  { ...strict, description: 'A registered version.' },
);
const MeanStep = Type.Object(
  { mean: several('Numbers or vectors of one shape, of the same classes.'), weights },
  { ...strict, description: 'The weighted mean, at each position.' },
);
const VoteStep = Type.Object(
  { vote: several('Labels of one type. Of equal counts the one that was named earlier wins.'), weights },
  { ...strict, description: 'The label with the most weight behind it.' },
);
const LabelStep = Type.Object(
  { label: Reference },
  {
    ...strict,
    description: 'The class of the greatest probability of a vector; its position where the classes have no names.',
  },
);
const ConcatStep = Type.Object(
  { concat: several('Numbers and vectors of numbers.') },
  { ...strict, description: 'One vector of all of them, for a version that takes one.' },
);
const PlattStep = Type.Object(
  {
    platt: Reference,
    slope: Type.Number({ exclusiveMinimum: 0 }),
    intercept: Type.Number(),
  },
  {
    ...strict,
    description: 'sigmoid(slope · logit(p) + intercept) of a probability, or of the second of a vector of two.',
  },
);
const IsotonicStep = Type.Object(
  { isotonic: Reference, x: Knots, y: Knots },
  {
    ...strict,
    description: 'A probability, or the second of a vector of two, mapped by straight lines between the knots (x, y).',
  },
);

export const CompositionStep = Type.Union([
  VersionStep,
  MeanStep,
  VoteStep,
  LabelStep,
  ConcatStep,
  PlattStep,
  IsotonicStep,
]);
export type CompositionStep = Type.Static<typeof CompositionStep>;
export type VersionStep = Type.Static<typeof VersionStep>;
/** A step that joins what others give. */
export type JoiningStep = Exclude<CompositionStep, VersionStep>;

export const Composition = Type.Object(
  {
    model: Name,
    description: Type.Optional(Type.String({ maxLength: 10_000 })),
    steps: Type.Record(StepName, CompositionStep, { minProperties: 1, maxProperties: 100 }),
    outputs: Type.Record(Type.String({ minLength: 1, maxLength: 256 }), Reference, {
      minProperties: 1,
      maxProperties: 1000,
      description: 'What the version gives: by name, what of which step.',
    }),
    register: Type.Optional(Type.Object({ alias: Type.Optional(Name) }, strict)),
  },
  { $id: 'Composition', ...strict },
);
export type Composition = Type.Static<typeof Composition>;
