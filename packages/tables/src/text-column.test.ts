import { DuckDBInstance } from '@duckdb/node-api';
import { expect, test } from 'vitest';
import { createTextReader } from './text-column.ts';

/** The texts that a query gives, read chunk by chunk; and the sizes of the dictionaries that they came with. */
async function readTexts(sql: string): Promise<{ texts: (string | null)[]; largest: number }> {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  try {
    const result = await connection.stream(sql);
    const read = createTextReader();
    const texts: (string | null)[] = [];
    let largest = 0;
    for (;;) {
      const chunk = await result.fetchChunk();
      if (chunk === null || chunk.rowCount === 0) return { texts, largest };
      const { codes, dictionary } = read(chunk.getColumnVector(0), chunk.rowCount);
      largest = Math.max(largest, dictionary.length);
      for (const code of codes) texts.push(dictionary[code] ?? null);
    }
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

test('texts of every length come back as they are, and each is in the dictionary once', async () => {
  const values = [
    '',
    'a',
    'ab\0',
    'exactly12byt',
    'thirteen char',
    'exactly12bys',
    'ümläut',
    '🛫🛬',
    'x'.repeat(5000),
    'A',
  ];
  const list = values.map((value) => (value === 'ab\0' ? `'ab' || chr(0)` : `'${value}'`)).join(', ');
  const sql = `SELECT CASE WHEN i % 11 = 10 THEN NULL ELSE ([${list}])[1 + i % 11] END FROM range(5000) t(i) ORDER BY i`;
  const { texts, largest } = await readTexts(sql);
  expect(texts).toEqual(Array.from({ length: 5000 }, (_, i) => values[i % 11] ?? null));
  expect(largest).toBe(values.length);
});

test('a column of ever new texts does not make the dictionary grow without end', async () => {
  const sql = `SELECT CASE WHEN i % 2 = 0 THEN 'short' || i ELSE 'a longer text ' || i END FROM range(50000) t(i) ORDER BY i`;
  const { texts, largest } = await readTexts(sql);
  expect(texts).toEqual(Array.from({ length: 50_000 }, (_, i) => (i % 2 === 0 ? `short${i}` : `a longer text ${i}`)));
  expect(largest).toBeLessThanOrEqual(1024 + 2048);
});
