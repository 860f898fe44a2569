import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { afterHeader, checkJsonRow, frameRows, MAX_ROW_BYTES, type TextPosition } from './text-rows.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'assay-rows-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const signal = new AbortController().signal;
let files = 0;

async function fileOf(content: string | Uint8Array): Promise<string> {
  const path = join(dir, `rows-${files++}`);
  await writeFile(path, content);
  return path;
}

/** All rows of a CSV file, `maxRows` at a time. */
async function readAll(content: string | Uint8Array, maxRows = Number.POSITIVE_INFINITY, columns = 2) {
  const path = await fileOf(content);
  let position: TextPosition = await afterHeader(path, columns, signal);
  const kept: Uint8Array[] = [];
  const numbers: number[] = [];
  const broken: { row: number; line: number; message: string }[] = [];
  for (;;) {
    const write = async (bytes: Uint8Array) => kept.push(Uint8Array.from(bytes));
    const found = await frameRows({ path, from: position, maxRows, rules: { format: 'csv', columns }, write, signal });
    for (const { row, rows } of found.runs) for (let i = 0; i < rows; i++) numbers.push(row + i);
    broken.push(...found.broken);
    position = found.next;
    if (found.ended) return { text: Buffer.concat(kept).toString(), numbers, broken, position };
  }
}

describe('CSV', () => {
  test('rows are numbered from 1 on, and blank lines are none', async () => {
    expect(await readAll('a,b\n1,2\n\n3,4\n')).toMatchObject({ text: '1,2\n3,4\n', numbers: [1, 2], broken: [] });
  });

  test('carriage returns, a byte order mark and a missing last line break are no difference', async () => {
    expect((await readAll('\uFEFFa,b\r\n1,2\r\n\r\n3,4')).text).toBe('1,2\n3,4\n');
  });

  test('a quoted value holds commas, line breaks and doubled quotes', async () => {
    const rows = '"x,\n""y""",2\n3,"4"\n';
    expect(await readAll(`a,b\n${rows}`)).toMatchObject({ text: rows, numbers: [1, 2] });
  });

  test.each([
    ['too few columns', '1\n', 'it has 1 column, the header 2'],
    ['too many columns', '1,2,3\n', 'it has 3 columns, the header 2'],
    ['a quote within a value', '1,a"b\n', 'a quote stands in the middle of column 2'],
    ['text after a closing quote', '"1"x,2\n', 'text follows the closing quote of column 1'],
  ])('a row with %s is broken, and the next one is read', async (_, row, message) => {
    const { text, numbers, broken } = await readAll(`a,b\n0,0\n${row}"8\n9",9\n7,7\n`);
    expect(text).toBe('0,0\n"8\n9",9\n7,7\n');
    expect(numbers).toEqual([1, 3, 4]);
    expect(broken).toEqual([{ row: 2, line: 3, message }]);
  });

  test('lines are counted as an editor does, through values of several lines', async () => {
    const { broken } = await readAll('a,b\n"1\n2\n3",4\nbroken\n');
    expect(broken).toMatchObject([{ row: 2, line: 5 }]);
  });

  test('a row that is not UTF-8 is broken, and its neighbours are not', async () => {
    const bytes = Buffer.concat([Buffer.from('a,b\n1,é\n2,'), Buffer.from([0xe9]), Buffer.from('\n3,è\n')]);
    const { text, broken } = await readAll(bytes);
    expect(text).toBe('1,é\n3,è\n');
    expect(broken).toEqual([{ row: 2, line: 3, message: 'it is not UTF-8' }]);
  });

  test.each([
    ['to the end of the file', 'a,b\n1,2\n3,"4\n5,6\n', /:3: a quote is left open to the end of the file/],
    ['for too long', `a,b\n1,"${'x\n'.repeat(2 * MAX_ROW_BYTES)}`, /:2: a row of more than .* or a quote is left open/],
  ])('after a quote that is open %s nothing can be read', async (_, content, message) => {
    await expect(readAll(content)).rejects.toThrow(message);
  });

  test('a file of a header alone has no rows', async () => {
    expect(await readAll('a,b\n')).toMatchObject({ text: '', numbers: [], broken: [] });
    expect(await readAll('a,b')).toMatchObject({ text: '', numbers: [], broken: [] });
  });

  test('however many rows are read at a time, they are the same', async () => {
    const cell = fc.constantFrom('', '1', 'é', '"q"', '"a,b"', '"l\nm"', '"d""d"', 'b"ad', '"x"y', ' ');
    const row = fc.tuple(fc.array(cell, { minLength: 1, maxLength: 3 }), fc.constantFrom('\n', '\r\n', '\n\n'));
    await fc.assert(
      fc.asyncProperty(fc.array(row, { maxLength: 12 }), fc.integer({ min: 1, max: 4 }), async (rows, maxRows) => {
        const content = `a,b\n${rows.map(([cells, end]) => cells.join(',') + end).join('')}`;
        expect(await readAll(content, maxRows)).toEqual(await readAll(content));
      }),
      { numRuns: 150 },
    );
  });

  test('rows that reach over what is read at once are whole', async () => {
    const wide = 'x'.repeat(700_000);
    const { numbers, text } = await readAll(`a,b\n${`${wide},"y\n"\n`.repeat(4)}1,2\n`);
    expect(numbers).toEqual([1, 2, 3, 4, 5]);
    expect(text.endsWith('1,2\n')).toBe(true);
  });
});

describe('NDJSON', () => {
  const read = async (content: string) => {
    const from = { offsetBytes: 0, line: 1, rows: 0 };
    const path = await fileOf(content);
    const rules = { format: 'ndjson', check: checkJsonRow } as const;
    return frameRows({ path, from, maxRows: 100, rules, write: async () => undefined, signal });
  };

  test('a line that is no object is broken', async () => {
    const { rows, broken } = await read('{"a":1}\n[1]\n{"a":\n"x"\nnull\n{"s":"\\ud800"}\n{"s":"\\ud83d\\ude00"}\n');
    expect(rows).toBe(2);
    expect(broken.map(({ row }) => row)).toEqual([2, 3, 4, 5, 6]);
    expect(broken[0]?.message).toBe('it is JSON, but no object');
    expect(broken[1]?.message).toMatch(/^it is not JSON: /);
    expect(broken[4]?.message).toBe('a string in it holds half of a surrogate pair');
  });
});
