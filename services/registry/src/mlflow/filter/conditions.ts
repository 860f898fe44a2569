/** From what a filter says to conditions with bound parameters. Names of columns come from here, never from a request. */
import { type RawBuilder, type SqlBool, sql } from 'kysely';
import { invalid } from '../errors.ts';
import { type Comparison, type FilterValue, type Identifier, type Order, parseFilter, parseOrder } from './grammar.ts';

interface AttributeColumn {
  readonly column: string;
  readonly kind: 'text' | 'number';
  /** Without it the column is never null, and an index gives its order. */
  readonly nullable?: true;
}

/** Values in a table of their own, one row a key. */
interface KeyedTable {
  readonly table: string;
  /** The column of that table that names the owner, and the column that it equals. */
  readonly owner: string;
  readonly id: string;
  readonly kind: 'text' | 'metric';
}

/** What can be searched, by the names that a filter uses. */
export interface Searchable {
  readonly attributes: Readonly<Record<string, AttributeColumn>>;
  readonly keyed: Partial<Readonly<Record<'metric' | 'param' | 'tag', KeyedTable>>>;
  readonly datasets?: { readonly id: string };
  /** Tags for which `!= value` holds where they are absent, too. */
  readonly absentTagsDiffer?: readonly string[];
}

const ALL: RawBuilder<SqlBool> = sql<SqlBool>`1 = 1`;

/** @throws AssayError INVALID_ARGUMENT naming the place */
export function filterCondition(searchable: Searchable, filter: string | undefined): RawBuilder<SqlBool> {
  const comparisons = parseFilter(filter ?? '');
  if (comparisons.length === 0) return ALL;
  return sql.join<SqlBool>(
    comparisons.map((comparison) => sql`(${condition(searchable, comparison)})`),
    sql` and `,
  ) as RawBuilder<SqlBool>; // conditions joined by `and` are a condition
}

/** A tag that all that matches the filter has, with its value. */
export function equalTag(filter: string | undefined): { readonly key: string; readonly value: string } | undefined {
  for (const { on, operator, values } of parseFilter(filter ?? '')) {
    const [value] = values;
    if (on.entity === 'tag' && operator === '=' && value?.kind === 'text') return { key: on.key, value: value.text };
  }
  return undefined;
}

function condition(searchable: Searchable, comparison: Comparison): RawBuilder<SqlBool> {
  const { on } = comparison;
  if (on.entity === 'attribute') {
    const attribute = attributeOf(searchable, on, 'filter');
    return attribute.kind === 'number'
      ? compareNumbers(sql.ref(attribute.column), comparison)
      : compareTexts(sql.ref(attribute.column), comparison);
  }
  if (on.entity === 'dataset') return datasetCondition(searchable, comparison);
  const keyed = keyedOf(searchable, on, 'filter');
  const rows = (also: RawBuilder<SqlBool>) =>
    sql<SqlBool>`exists (select 1 from ${sql.table(keyed.table)} as k where ${sql.ref(`k.${keyed.owner}`)} = ${sql.ref(keyed.id)} and k.key = ${on.key} and (${also}))`;
  if (comparison.operator === 'IS NULL') return sql<SqlBool>`not ${rows(ALL)}`;
  if (comparison.operator === 'IS NOT NULL') return rows(ALL);
  if (keyed.kind === 'metric') {
    return rows(sql<SqlBool>`k.special <> 'NaN' and ${compareNumbers(sql.ref('k.value'), comparison)}`);
  }
  const matches = rows(compareTexts(sql.ref('k.value'), comparison));
  if (comparison.operator !== '!=' || searchable.absentTagsDiffer?.includes(on.key) !== true) return matches;
  return sql<SqlBool>`(${matches} or not ${rows(ALL)})`;
}

function datasetCondition(searchable: Searchable, comparison: Comparison): RawBuilder<SqlBool> {
  const { on } = comparison;
  const columns: Readonly<Record<string, string>> = { name: 'name', digest: 'digest', context: 'tags' };
  const column = columns[on.key];
  if (searchable.datasets === undefined || column === undefined) {
    throw invalid('filter', `${on.column}: there is no dataset attribute "${on.key}"`, 'name, digest or context');
  }
  const { id } = searchable.datasets;
  const rows = (also: RawBuilder<SqlBool>) =>
    sql<SqlBool>`exists (select 1 from mlflow_run_datasets as d where d.run_id = ${sql.ref(id)} and ${also})`;
  if (column !== 'tags') return rows(compareTexts(sql.ref(`d.${column}`), comparison));
  if (comparison.operator !== '=') throw invalid('filter', `${on.column}: a context is compared by = alone`);
  const context = JSON.stringify({ key: 'mlflow.data.context', value: textOf(comparison.values[0], on) });
  return rows(sql<SqlBool>`replace(d.tags, ${context}, '') <> d.tags`);
}

function compareTexts(left: RawBuilder<unknown>, { on, operator, values }: Comparison): RawBuilder<SqlBool> {
  const texts = values.map((value) => textOf(value, on));
  const [text = ''] = texts;
  switch (operator) {
    case '=':
      return sql<SqlBool>`${left} = ${text}`;
    case '!=':
      return sql<SqlBool>`${left} <> ${text}`;
    case 'LIKE':
      return sql<SqlBool>`${left} like ${pattern(text)} escape ${sql.lit('\\')}`;
    case 'ILIKE':
      return sql<SqlBool>`lower(${left}) like ${pattern(text).toLowerCase()} escape ${sql.lit('\\')}`;
    case 'IN':
      return sql<SqlBool>`${left} in (${sql.join(texts)})`;
    case 'NOT IN':
      return sql<SqlBool>`${left} not in (${sql.join(texts)})`;
    case 'IS NULL':
      return sql<SqlBool>`(${left} is null or ${left} = '')`;
    case 'IS NOT NULL':
      return sql<SqlBool>`(${left} is not null and ${left} <> '')`;
    default:
      throw invalid(
        'filter',
        `${on.column}: "${on.key}" is text and cannot be compared by ${operator}`,
        '=, !=, LIKE, ILIKE or IN',
      );
  }
}

function compareNumbers(left: RawBuilder<unknown>, { on, operator, values }: Comparison): RawBuilder<SqlBool> {
  if (!['=', '!=', '<', '<=', '>', '>='].includes(operator)) {
    throw invalid(
      'filter',
      `${on.column}: "${on.key}" is a number and cannot be compared by ${operator}`,
      '=, !=, <, <=, > or >=',
    );
  }
  const [value] = values;
  const number = Number(value?.text);
  if (value === undefined || value.text.trim() === '' || !Number.isFinite(number)) {
    throw invalid('filter', `${on.column}: "${on.key}" is a number, ${JSON.stringify(value?.text)} is none`);
  }
  const operators = { '=': sql`=`, '!=': sql`<>`, '<': sql`<`, '<=': sql`<=`, '>': sql`>`, '>=': sql`>=` };
  const symbol = operators[operator as keyof typeof operators]; // one of them, as checked above
  return sql<SqlBool>`${left} ${symbol} cast(${number} as double precision)`;
}

/** A backslash is a character like others in MLflow's patterns; in ours it escapes. */
function pattern(text: string): string {
  return text.replaceAll('\\', '\\\\');
}

function textOf(value: FilterValue | undefined, on: Identifier): string {
  if (value?.kind === 'text') return value.text;
  throw invalid('filter', `${on.column}: "${on.key}" is text`, `a value in quotes: '${value?.text ?? ''}'`);
}

function attributeOf({ attributes }: Searchable, { key, column }: Identifier, place: string): AttributeColumn {
  const found = Object.hasOwn(attributes, key) ? attributes[key] : undefined;
  if (found !== undefined) return found;
  throw invalid(place, `${column}: there is no attribute "${key}"`, Object.keys(attributes).join(', '));
}

function keyedOf({ keyed }: Searchable, { entity, column }: Identifier, place: string): KeyedTable {
  const found = entity === 'metric' || entity === 'param' || entity === 'tag' ? keyed[entity] : undefined;
  if (found !== undefined) return found;
  const known = ['attributes', ...Object.keys(keyed).map((name) => `${name}s`)].join(', ');
  throw invalid(place, `${column}: ${entity}s cannot be searched here`, known);
}

const MAX_ORDERS = 20;

/**
 * What `order_by` says, then `last`, so that pages never overlap. Numbers come before NaN, and what has no value comes last,
 * whichever the direction.
 * @throws AssayError INVALID_ARGUMENT
 */
export function orderTerms(
  searchable: Searchable,
  orderBy: readonly string[] | undefined,
  last: readonly RawBuilder<unknown>[],
): RawBuilder<unknown>[] {
  const orders = (orderBy ?? []).filter((text) => text.trim() !== '');
  if (orders.length > MAX_ORDERS) throw invalid('order_by', `has ${orders.length} terms`, `at most ${MAX_ORDERS}`);
  return [...orders.flatMap((text) => termsOf(searchable, parseOrder(text))), ...last];
}

function termsOf(searchable: Searchable, { by, descending }: Order): RawBuilder<unknown>[] {
  const direction = descending ? sql`desc` : sql`asc`;
  if (by.entity === 'attribute') {
    const { column, nullable } = attributeOf(searchable, by, 'order_by');
    return [nullable ? sql`${sql.ref(column)} ${direction} nulls last` : sql`${sql.ref(column)} ${direction}`];
  }
  const keyed = keyedOf(searchable, by, 'order_by');
  const pick = (expression: RawBuilder<unknown>) =>
    sql`(select ${expression} from ${sql.table(keyed.table)} as k where ${sql.ref(`k.${keyed.owner}`)} = ${sql.ref(keyed.id)} and k.key = ${by.key} limit 1)`;
  // Infinity itself is stored as the largest number: beyond that there is NaN alone.
  const beyond = sql`cast(${descending ? -Infinity : Infinity} as double precision)`;
  const value =
    keyed.kind === 'metric' ? sql`case when k.special = 'NaN' then ${beyond} else k.value end` : sql`k.value`;
  return [sql`${pick(value)} ${direction} nulls last`];
}
