import { AssayError } from '@assay/contracts';
import { describe, expect, it } from 'vitest';
import { parseFilter, parseOrder } from './grammar.ts';

const mistakeIn = (source: string): string => {
  try {
    parseFilter(source);
  } catch (error) {
    return AssayError.from(error).message;
  }
  return 'none';
};

describe('a filter', () => {
  it('is comparisons joined by AND, with quoted keys and values', () => {
    expect(
      parseFilter("metrics.auc >= 0.5 and params.`max depth` = '7' AND tag.\"a.b\" LIKE 'x%'").map(
        ({ on, operator, values }) => [on.entity, on.key, operator, values[0]?.text],
      ),
    ).toEqual([
      ['metric', 'auc', '>=', '0.5'],
      ['param', 'max depth', '=', '7'],
      ['tag', 'a.b', 'LIKE', 'x%'],
    ]);
  });

  it('knows lists, absence, and attributes without a prefix', () => {
    expect(
      parseFilter("run_id IN ('a', 'b') AND tags.mlflow.source.name IS NOT NULL and status NOT IN ('X',)"),
    ).toMatchObject([
      { on: { entity: 'attribute', key: 'run_id' }, operator: 'IN', values: [{ text: 'a' }, { text: 'b' }] },
      { on: { entity: 'tag', key: 'mlflow.source.name' }, operator: 'IS NOT NULL', values: [] },
      { operator: 'NOT IN', values: [{ text: 'X' }] },
    ]);
  });

  it('names the column of what it does not understand', () => {
    expect(mistakeIn('metrics.auc > ')).toContain('column 15: the text ends there');
    expect(mistakeIn("name = 'a' OR name = 'b'")).toContain('column 12: found "OR"; expected AND');
    expect(mistakeIn("name = 'a'; drop table models")).toContain('column 11: ";"');
    expect(mistakeIn("name = 'a")).toContain('column 8: a quote that is never closed');
    expect(mistakeIn("wishes.x = 'a'")).toContain('column 1: "wishes" has no keys');
    expect(mistakeIn('x'.repeat(20_000))).toContain('at most 10000');
  });

  it('keeps what looks like SQL inside a value as the value', () => {
    expect(parseFilter("name = 'a'' OR 1=1 --'")[0]?.values[0]?.text).toBe("a' OR 1=1 --");
  });
});

describe('an order', () => {
  it('is ascending unless it says otherwise', () => {
    expect(parseOrder('metrics.`val loss` DESC')).toMatchObject({
      by: { entity: 'metric', key: 'val loss' },
      descending: true,
    });
    expect(parseOrder('start_time')).toMatchObject({
      by: { entity: 'attribute', key: 'start_time' },
      descending: false,
    });
    expect(() => parseOrder('start_time UP')).toThrow('column 12: found "UP"');
  });
});
