/**
 * The grammar of MLflow's filters and orders:
 *
 *     filter     = [ comparison { AND comparison } ]
 *     comparison = identifier ( operator value | [NOT] IN "(" value { "," value } ")" | IS [NOT] NULL )
 *     identifier = [ entity "." ] key        key = word { "." word } | "quoted" | `quoted`
 *     operator   = "=" | "!=" | "<" | "<=" | ">" | ">=" | LIKE | ILIKE
 *     order      = identifier [ ASC | DESC ]
 */
import { invalid } from '../errors.ts';
import { type Token, tokenize } from './tokens.ts';

export type Entity = 'attribute' | 'metric' | 'param' | 'tag' | 'dataset';
export type Operator =
  | '='
  | '!='
  | '<'
  | '<='
  | '>'
  | '>='
  | 'LIKE'
  | 'ILIKE'
  | 'IN'
  | 'NOT IN'
  | 'IS NULL'
  | 'IS NOT NULL';
export type FilterValue =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'number'; readonly text: string };

export interface Identifier {
  readonly entity: Entity;
  readonly key: string;
  /** As a message shows it: `column 5`. */
  readonly column: string;
}

export interface Comparison {
  readonly on: Identifier;
  readonly operator: Operator;
  /** None for IS NULL, several for IN, else one. */
  readonly values: readonly FilterValue[];
}

export interface Order {
  readonly by: Identifier;
  readonly descending: boolean;
}

const ENTITIES: Readonly<Record<string, Entity>> = {
  attribute: 'attribute',
  attributes: 'attribute',
  attr: 'attribute',
  run: 'attribute',
  metric: 'metric',
  metrics: 'metric',
  param: 'param',
  params: 'param',
  parameter: 'param',
  parameters: 'param',
  tag: 'tag',
  tags: 'tag',
  dataset: 'dataset',
  datasets: 'dataset',
};
const OPERATORS: Readonly<Record<string, Operator>> = {
  '=': '=',
  '==': '=',
  '!=': '!=',
  '<>': '!=',
  '<': '<',
  '<=': '<=',
  '>': '>',
  '>=': '>=',
};
const MAX_COMPARISONS = 100;
const MAX_VALUES = 1000;

/** @throws AssayError INVALID_ARGUMENT naming the column and what was expected there */
export function parseFilter(source: string): Comparison[] {
  const reader = readerOf(source, 'filter');
  const comparisons: Comparison[] = [];
  if (reader.peek().kind === 'end') return comparisons;
  for (;;) {
    comparisons.push(comparison(reader));
    if (comparisons.length > MAX_COMPARISONS) throw invalid('filter', `has more than ${MAX_COMPARISONS} comparisons`);
    if (reader.peek().kind === 'end') return comparisons;
    if (!reader.keyword('AND')) throw reader.unexpected('AND, or the end');
  }
}

/** @throws AssayError INVALID_ARGUMENT */
export function parseOrder(source: string): Order {
  const reader = readerOf(source, 'order_by');
  const by = identifier(reader);
  const descending = reader.keyword('DESC');
  if (!descending) reader.keyword('ASC');
  if (reader.peek().kind !== 'end') throw reader.unexpected('ASC, DESC, or the end');
  return { by, descending };
}

interface Reader {
  peek(): Token;
  take(): Token;
  /** Whether the next token is this keyword; it is taken then. */
  keyword(word: string): boolean;
  unexpected(expected: string): Error;
}

function readerOf(source: string, place: string): Reader {
  const tokens = tokenize(source, place);
  const end: Token = { kind: 'end', text: '', at: source.length };
  let position = 0;
  const reader: Reader = {
    peek: () => tokens[position] ?? end,
    take() {
      const token = reader.peek();
      position += 1;
      return token;
    },
    keyword(word) {
      const token = reader.peek();
      if (token.kind !== 'word' || token.text.toUpperCase() !== word) return false;
      position += 1;
      return true;
    },
    unexpected(expected) {
      const token = reader.peek();
      const found = token.kind === 'end' ? 'the text ends there' : `found ${JSON.stringify(token.text)}`;
      return invalid(place, `column ${token.at + 1}: ${found}`, expected);
    },
  };
  return reader;
}

function comparison(reader: Reader): Comparison {
  const on = identifier(reader);
  if (reader.keyword('IS')) {
    const operator = reader.keyword('NOT') ? 'IS NOT NULL' : 'IS NULL';
    if (!reader.keyword('NULL')) throw reader.unexpected('NULL');
    return { on, operator, values: [] };
  }
  if (reader.keyword('NOT')) {
    if (!reader.keyword('IN')) throw reader.unexpected('IN');
    return { on, operator: 'NOT IN', values: list(reader) };
  }
  if (reader.keyword('IN')) return { on, operator: 'IN', values: list(reader) };
  for (const operator of ['LIKE', 'ILIKE'] as const) {
    if (reader.keyword(operator)) return { on, operator, values: [value(reader)] };
  }
  const operator = reader.peek().kind === 'operator' ? OPERATORS[reader.peek().text] : undefined;
  if (operator === undefined) throw reader.unexpected('=, !=, <, <=, >, >=, LIKE, ILIKE, IN, NOT IN or IS NULL');
  reader.take();
  return { on, operator, values: [value(reader)] };
}

function list(reader: Reader): FilterValue[] {
  if (reader.take().text !== '(') throw invalid('filter', 'IN is followed by no list', '("a", "b")');
  const values = [value(reader)];
  while (reader.peek().text === ',' && reader.peek().kind === 'punctuation') {
    reader.take();
    if (reader.peek().text === ')' && reader.peek().kind === 'punctuation') break; // a Python tuple of one
    values.push(value(reader));
    if (values.length > MAX_VALUES) throw invalid('filter', `IN has more than ${MAX_VALUES} values`);
  }
  if (reader.peek().kind !== 'punctuation' || reader.peek().text !== ')') throw reader.unexpected('"," or ")"');
  reader.take();
  return values;
}

function value(reader: Reader): FilterValue {
  const { kind, text } = reader.peek();
  if (kind !== 'text' && kind !== 'number') throw reader.unexpected("a number, or a text in quotes: 'abc'");
  reader.take();
  return { kind, text };
}

function identifier(reader: Reader): Identifier {
  const first = reader.peek();
  const column = `column ${first.at + 1}`;
  if (!isName(first)) throw reader.unexpected('a name: metrics.auc, params.depth, tags.team or an attribute');
  reader.take();
  if (!dot(reader)) return { entity: 'attribute', key: first.text, column };
  const entity = first.kind === 'word' ? ENTITIES[first.text.toLowerCase()] : undefined;
  if (entity === undefined) {
    throw invalid(
      'filter',
      `${column}: ${JSON.stringify(first.text)} has no keys`,
      'metrics, params, tags, attributes or datasets',
    );
  }
  const parts: string[] = [];
  do {
    const part = reader.peek();
    if (!isName(part)) throw reader.unexpected(`the key of a ${entity}`);
    reader.take();
    parts.push(part.text);
  } while (dot(reader));
  return { entity, key: parts.join('.'), column };
}

function isName({ kind }: Token): boolean {
  return kind === 'word' || kind === 'quoted' || kind === 'text' || kind === 'number';
}

function dot(reader: Reader): boolean {
  if (reader.peek().kind !== 'punctuation' || reader.peek().text !== '.') return false;
  reader.take();
  return true;
}
