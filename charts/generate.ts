/**
 * `node charts/generate.ts` writes what the chart derives from the code: values.schema.json and the table in README.md.
 * With `--verify` it fails when what is there differs.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseYaml } from '@assay/runtime';
import type { Schema } from './json-schema.ts';
import { MODES, resolve, valuesSchema } from './values-schema.ts';

const CHART = join(import.meta.dirname, 'assay');
const BEGIN = '<!-- values: written by charts/generate.ts -->';
const END = '<!-- end of values -->';

export interface ValueRow {
  /** `inference.autoscaling.enabled` */
  readonly path: string;
  /** As JSON; undefined where there is none. */
  readonly default: string | undefined;
  readonly description: string;
}

function readValues(file: string): unknown {
  return parseYaml({}, readFileSync(join(CHART, file), 'utf8'), file);
}

/** A row for each value that can be set; defaults come from the files that the templates read. */
export function rowsOf(schema: Schema, defaults: unknown, path = ''): ValueRow[] {
  const shape = resolve(schema);
  const rows: ValueRow[] = [];
  for (const [key, inner] of Object.entries(shape.properties ?? {})) {
    const value = isObject(defaults) ? defaults[key] : undefined;
    const at = path === '' ? key : `${path}.${key}`;
    const below = resolve(inner);
    const isLeaf = below.properties === undefined || at === 'config' || key === 'resources';
    const description = inner.description ?? below.description ?? '';
    if (isLeaf) rows.push({ path: at, default: value === undefined ? undefined : JSON.stringify(value), description });
    else rows.push(...rowsOf(inner, value, at));
  }
  return rows;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** With its columns aligned, as this repository formats Markdown. */
function table(rows: readonly ValueRow[]): string {
  const cells = [
    ['Value', 'Default', 'What it is'],
    ...rows.map((row) => [
      `\`${row.path}\``,
      row.default === undefined ? 'to be given' : `\`${row.default}\``,
      row.description,
    ]),
  ];
  const widths = [0, 1, 2].map((column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  const [head = [], ...body] = cells;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('\n');
}

/** The rows of one mode that the other does not have, and those that both have. */
export function allRows(): Record<'both' | 'standalone' | 'distributed', ValueRow[]> {
  const common = readValues('values.yaml');
  const rows = (mode: 'standalone' | 'distributed'): ValueRow[] =>
    rowsOf(MODES[mode], { ...(isObject(common) ? common : {}), ...Object(readValues(`defaults/${mode}.yaml`)) });
  const isCommon = ({ path }: ValueRow): boolean => isObject(common) && (path.split('.')[0] ?? '') in common;
  return {
    both: rows('standalone').filter(isCommon),
    standalone: rows('standalone').filter((row) => !isCommon(row) && row.path !== 'global'),
    distributed: rows('distributed').filter((row) => !isCommon(row) && row.path !== 'global'),
  };
}

const LINE_WIDTH = 120;

/** JSON as this repository formats it: a list of plain values is one line where that fits. */
function print(value: unknown, indent: string, used = 0): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    const isPlain = value.every((one) => typeof one !== 'object' || one === null);
    const line = `[${value.map((one) => JSON.stringify(one)).join(', ')}]`;
    if (isPlain && indent.length + used + line.length < LINE_WIDTH) return line;
    return `[\n${value.map((one) => inner + print(one, inner)).join(',\n')}\n${indent}]`;
  }
  const entries = Object.entries(value).filter(([, one]) => one !== undefined);
  if (entries.length === 0) return '{}';
  const lines = entries.map(([key, one]) => {
    const name = `${JSON.stringify(key)}: `;
    return inner + name + print(one, inner, name.length);
  });
  return `{\n${lines.join(',\n')}\n${indent}}`;
}

/** Path below charts/assay → what it should hold. */
export function generated(): Map<string, string> {
  const rows = allRows();
  const readme = readFileSync(join(CHART, 'README.md'), 'utf8');
  const [head, rest] = readme.split(BEGIN);
  const tail = rest?.split(END)[1];
  if (head === undefined || tail === undefined) throw new Error(`README.md lacks ${BEGIN} or ${END}`);
  const tables = [
    '### Both modes',
    table(rows.both),
    '### standalone',
    table(rows.standalone),
    '### distributed',
    table(rows.distributed),
  ];
  return new Map([
    ['values.schema.json', `${print(valuesSchema(), '')}\n`],
    ['README.md', `${head}${BEGIN}\n\n${tables.join('\n\n')}\n\n${END}${tail}`],
  ]);
}

if (import.meta.main) {
  for (const [file, content] of generated()) {
    const path = join(CHART, file);
    let found: string | undefined;
    try {
      found = readFileSync(path, 'utf8');
    } catch {
      // not there yet: it differs
    }
    if (found === content) continue;
    if (process.argv.includes('--verify')) {
      process.stderr.write(`charts/assay/${file} differs from the code; run \`make generate\`\n`);
      process.exitCode = 1;
    } else {
      writeFileSync(path, content);
      process.stdout.write(`wrote charts/assay/${file}\n`);
    }
  }
}
