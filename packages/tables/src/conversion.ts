/** From the SQL type that an expression gives to the dtype that a feature has: exactly, or not at all. */
import type { Dtype } from '@assay/contracts';
import { literal } from './duckdb.ts';

const INTEGERS = /^(U?(TINYINT|SMALLINT|INTEGER|BIGINT)|U?HUGEINT)$/;
const NUMBERS = /^(FLOAT|DOUBLE|DECIMAL\(.*\))$/;
const INSTANTS = /^(DATE|TIMESTAMP|TIMESTAMP_S|TIMESTAMP_MS|TIMESTAMP_NS|TIMESTAMP WITH TIME ZONE)$/;
const TEXTS = /^(VARCHAR|ENUM\(.*\))$/;

export interface Conversion {
  /** The expression, as the column of the prepared table. */
  readonly sql: string;
  readonly type: string;
}

/**
 * SQL that turns `expression` of the SQL type `type` into a column of `dtype`; undefined when it could only guess (text
 * to a number, a fraction to an integer, a number to text). NaN, the empty string and `missingTexts` are no values: they
 * become NULL.
 */
export function convert(
  expression: string,
  type: string,
  dtype: Dtype,
  missingTexts: readonly string[] = [],
): Conversion | undefined {
  const numeric = INTEGERS.test(type) || NUMBERS.test(type);
  switch (dtype) {
    case 'float32':
    case 'float64': {
      const target = dtype === 'float32' ? 'FLOAT' : 'DOUBLE';
      return numeric ? { sql: `nullif(CAST(${expression} AS ${target}), 'NaN'::${target})`, type: target } : undefined;
    }
    case 'int64':
      return INTEGERS.test(type) ? { sql: `CAST(${expression} AS BIGINT)`, type: 'BIGINT' } : undefined;
    case 'string':
      return TEXTS.test(type)
        ? { sql: withoutTexts(`CAST(${expression} AS VARCHAR)`, ['', ...missingTexts]), type: 'VARCHAR' }
        : undefined;
    case 'bool':
      return type === 'BOOLEAN' ? { sql: expression, type: 'BOOLEAN' } : undefined;
    case 'timestamp':
      return INSTANTS.test(type) ? { sql: `epoch_us(${expression})`, type: 'BIGINT' } : undefined;
  }
}

function withoutTexts(sql: string, texts: readonly string[]): string {
  return [...new Set(texts)].reduce((inner, text) => `nullif(${inner}, ${literal(text)})`, sql);
}

/** What an expression of another type could be written as. */
export function remedyFor(dtype: Dtype): string {
  switch (dtype) {
    case 'float32':
    case 'float64':
      return 'a number, such as CAST(… AS DOUBLE)';
    case 'int64':
      return 'a whole number, such as CAST(… AS BIGINT)';
    case 'string':
      return 'text, such as CAST(… AS VARCHAR)';
    case 'bool':
      return 'true or false, such as a comparison';
    case 'timestamp':
      return 'a date or timestamp, such as CAST(… AS TIMESTAMP)';
  }
}
