import Type from 'typebox';
import { describe, expect, it } from 'vitest';
import { AssayError } from './errors.ts';
import { TrainingSpec } from './training.ts';
import { explain, matches, parse } from './validation.ts';

const Body = Type.Object(
  {
    records: Type.Array(
      Type.Object({ age: Type.Number(), name: Type.Optional(Type.String()) }, { additionalProperties: false }),
    ),
    mode: Type.Optional(Type.Enum(['fast', 'exact'])),
  },
  { additionalProperties: false },
);

const spec = {
  model: 'm',
  source: { path: 'x.csv' },
  target: { name: 't', expression: 'x' },
  features: [{ name: 'a', dtype: 'float64' }],
  split: { by: 'random', validation: 0.1, test: 0.1 },
  trainer: { name: 'lightgbm' },
};

describe('validation', () => {
  it('coerces nothing: null, true and "300" are not numbers', () => {
    for (const age of [null, true, '300', [1], undefined]) expect(matches(Body, { records: [{ age }] })).toBe(false);
    expect(matches(Body, { records: [{ age: 300 }] })).toBe(true);
  });

  it('names the place as a reader would write it', () => {
    expect(explain(Body, { records: [{ age: 1 }, { age: '2' }] }, 'body')).toEqual([
      { place: 'records[1].age', message: 'must be number, got "2"', expected: 'number' },
    ]);
  });

  it('suggests the key that was meant', () => {
    const [detail] = explain(Body, { records: [{ age: 1, nmae: 'x' }] }, 'body');
    expect(detail).toMatchObject({ place: 'records[0].nmae', message: 'unknown key "nmae"; did you mean "name"?' });
  });

  it('suggests the value that was meant', () => {
    const [detail] = explain(Body, { records: [], mode: 'exat' }, 'body');
    expect(detail?.message).toContain('did you mean "exact"?');
  });

  it('names the missing key itself', () => {
    expect(explain(Body, {}, 'body')).toEqual([{ place: 'records', message: 'is required' }]);
  });

  it('calls the root by the name it was given', () => {
    expect(explain(Body, 7, 'config')[0]?.place).toBe('config');
  });

  it('throws INVALID_ARGUMENT whose message is the first place and how many more there are', () => {
    const thrown = catchError(() => parse(Body, { records: [{ age: 'a' }, { age: 'b' }] }, 'body'));
    expect(thrown).toBeInstanceOf(AssayError);
    expect(thrown).toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(String(thrown)).toContain('records[0].age: must be number, got "a" (and 1 more)');
  });

  it('reports at most twenty places however wrong the value is', () => {
    const details = explain(Body, { records: Array.from({ length: 300 }, () => ({ age: 'x' })) }, 'body');
    expect(details.length).toBe(20);
  });
});

describe('a union', () => {
  it('that is tagged reports only the branch that was meant', () => {
    const details = explain(TrainingSpec, { ...spec, trainer: { name: 'lightgbm', round: 3 } }, 'spec');
    expect(details).toEqual([
      expect.objectContaining({ place: 'trainer.round', message: 'unknown key "round"; did you mean "rounds"?' }),
    ]);
  });

  it('whose tag is mistyped reports the tag and what it can be', () => {
    const details = explain(TrainingSpec, { ...spec, split: { by: 'tim' } }, 'spec');
    expect(details).toEqual([
      {
        place: 'split.by',
        message: '"tim" is not one of the allowed values; did you mean "time"?',
        expected: 'one of time, random',
      },
    ]);
  });

  it('whose tag is missing asks for it', () => {
    expect(explain(TrainingSpec, { ...spec, split: {} }, 'spec')).toEqual([
      { place: 'split.by', message: 'is required', expected: 'one of time, random' },
    ]);
  });

  it('whose branches are told by a key reports only the branch that was meant', () => {
    expect(explain(TrainingSpec, { ...spec, source: { dataset: 'flights', version: 3 } }, 'spec')).toEqual([]);
    expect(explain(TrainingSpec, { ...spec, source: { dataset: 'flights', format: 'csv' } }, 'spec')).toEqual([
      expect.objectContaining({ place: 'source.format', message: expect.stringContaining('unknown key "format"') }),
    ]);
  });

  it.each([
    [{ path: 'x.csv', dataset: 'flights' }, 'has path and dataset, which exclude each other'],
    [{ where: 'a > 1' }, 'needs path or dataset'],
  ])('with both or neither of those keys says which there are: %j', (source, message) => {
    expect(explain(TrainingSpec, { ...spec, source }, 'spec')).toEqual([
      { place: 'source', message, expected: 'one of path, dataset' },
    ]);
  });

  it('of plain types says what would have been taken', () => {
    const either = Type.Object({ version: Type.Union([Type.Integer(), Type.String()]) });
    expect(explain(either, { version: true }, 'body')).toEqual([
      { place: 'version', message: 'must be integer or string, got true', expected: 'integer or string' },
    ]);
  });
});

function catchError(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}
