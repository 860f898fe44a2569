/** What is different between two versions of a dataset, computed from their schemas, profiles and what was said of them. */
import Type from 'typebox';
import { DatasetColumn } from './datasets.ts';
import { Id } from './registry.ts';

const strict = { additionalProperties: false } as const;

function FromTo<S extends Type.TSchema>(value: S) {
  return Type.Object({ from: value, to: value }, strict);
}

const Rate = Type.Number({ minimum: 0, maximum: 1 });
const Rows = Type.Integer({ minimum: 0 });

export const DatasetColumnShift = Type.Object(
  {
    name: Type.String(),
    missingRate: Type.Optional(Type.Object(FromTo(Rate).properties, { ...strict, description: 'Of the rows.' })),
    distinct: Type.Optional(FromTo(Rows)),
    mean: Type.Optional(
      Type.Object(
        {
          from: Type.Number(),
          to: Type.Number(),
          standardDeviations: Type.Optional(
            Type.Number({ description: 'How far it moved, in standard deviations of the earlier version.' }),
          ),
        },
        strict,
      ),
    ),
    min: Type.Optional(FromTo(Type.Number())),
    max: Type.Optional(FromTo(Type.Number())),
  },
  { $id: 'DatasetColumnShift', ...strict, description: 'Only what differs.' },
);
export type DatasetColumnShift = Type.Static<typeof DatasetColumnShift>;

const VersionNumber = Type.Object({ id: Id, version: Type.Integer({ minimum: 1 }) }, strict);

export const DatasetChanges = Type.Object(
  {
    dataset: Type.String(),
    from: VersionNumber,
    to: VersionNumber,
    sameTable: Type.Boolean({ description: 'The files and the schema are the same.' }),
    told: Type.String({ description: 'What people said that changed.' }),
    rows: FromTo(Rows),
    columns: Type.Object(
      {
        added: Type.Array(DatasetColumn),
        removed: Type.Array(DatasetColumn),
        retyped: Type.Array(Type.Object({ name: Type.String(), ...FromTo(Type.String()).properties }, strict)),
        nullability: Type.Array(Type.Object({ name: Type.String(), ...FromTo(Type.Boolean()).properties }, strict), {
          description: 'Columns that may be without a value in one of the two only.',
        }),
        reordered: Type.Boolean({ description: 'The columns of both come in another order.' }),
      },
      strict,
    ),
    personalData: Type.Object({ added: Type.Array(Type.String()), removed: Type.Array(Type.String()) }, strict),
    about: Type.Array(Type.Object({ what: Type.String(), ...FromTo(Type.String()).properties }, strict), {
      description: 'What is said otherwise: layer, source, owner, licence, known bias, description.',
    }),
    shifts: Type.Array(DatasetColumnShift, {
      description:
        'Columns of both whose profiles differ, those whose mean or share of missing values moved most first.',
    }),
    withoutProfile: Type.Array(Type.String(), {
      description: 'Columns of both that one of the two has no profile of: nothing is known of their values.',
    }),
  },
  { $id: 'DatasetChanges', ...strict },
);
export type DatasetChanges = Type.Static<typeof DatasetChanges>;
