/** For tests: how a database would answer what a function asks of it, whatever the function is. */
import { CompiledQuery, type Kysely, PostgresAdapter, type RootOperationNode, sql, type Transaction } from 'kysely';
import type { Database } from '../database.ts';
import type { Postgres } from './postgres.ts';

/**
 * Each step of a plan that walks a table or an index from one end to the other, with its statement. A walk in the order
 * of an index that ends with its limit is none. Of writes the plan is looked at, and nothing is written twice.
 */
export async function walksOf<Tables>(
  database: Database<Tables>,
  ask: (db: Kysely<Tables>) => Promise<unknown>,
): Promise<string[]> {
  const asked: RootOperationNode[] = [];
  const watched = database.db.withPlugin({
    transformQuery({ node }) {
      asked.push(node);
      return node;
    },
    transformResult: async ({ result }) => result,
  });
  await ask(watched);
  if (asked.length === 0) throw new Error('nothing was asked');
  return database.transaction(async (trx) => {
    const walksIn = isPostgres(trx) ? walksInPostgres : walksInSqlite;
    const walks: string[] = [];
    for (const node of asked) {
      const query = trx.getExecutor().compileQuery(node, { queryId: 'plan' });
      for (const walk of await walksIn(trx, query)) walks.push(`${walk}: ${query.sql.slice(0, 500)}`);
    }
    return [...new Set(walks)];
  });
}

/** What autovacuum does in time, which the tests' server has not. */
export async function vacuum(server: Postgres, schema: string): Promise<void> {
  const db = await server.openRaw(schema);
  await sql`vacuum analyze`.execute(db);
  await db.destroy();
}

/** Counts for PostgreSQL's planner what the tables hold. SQLite plans without. */
export async function countForPlanner<Tables>({ db }: Database<Tables>): Promise<void> {
  if (isPostgres(db)) await sql`analyze`.execute(db);
}

function isPostgres<Tables>(db: Kysely<Tables>): boolean {
  return db.getExecutor().adapter instanceof PostgresAdapter;
}

async function walksInSqlite<Tables>(trx: Transaction<Tables>, query: CompiledQuery): Promise<string[]> {
  const explain = CompiledQuery.raw(`explain query plan ${query.sql}`, [...query.parameters]);
  const { rows } = await trx.executeQuery<{ detail: string }>(explain);
  const steps = rows.map(({ detail }) => detail);
  const endsEarly = /\blimit\b/i.test(query.sql) && !steps.some((step) => step.startsWith('USE TEMP B-TREE FOR ORDER'));
  return steps.filter((step) => {
    // What is not deleted is nearly all there is.
    if (/^SEARCH .*\(deleted_at=\?\)/.test(step)) return true;
    const name = /^SCAN (\S+)/.exec(step)?.[1];
    if (name === undefined || step.startsWith('SCAN CONSTANT ROW')) return false;
    // A subquery is what was found.
    if (name.startsWith('(') || new RegExp(`\\)\\s+as\\s+"?${name}\\b`, 'i').test(query.sql)) return false;
    return !(endsEarly && step.includes(' USING '));
  });
}

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly 'Index Cond'?: string;
  readonly Plans?: readonly PlanNode[];
}

async function walksInPostgres<Tables>(trx: Transaction<Tables>, query: CompiledQuery): Promise<string[]> {
  // A small table is walked because that is cheap: with these off, where an index can answer, it does.
  for (const way of ['seqscan', 'mergejoin', 'hashjoin'])
    await sql`set local ${sql.raw(`enable_${way}`)} = off`.execute(trx);
  const explain = CompiledQuery.raw(`explain (format json) ${query.sql}`, [...query.parameters]);
  const { rows } = await trx.executeQuery<{ 'QUERY PLAN': string }>(explain);
  const plans: { Plan: PlanNode }[] = JSON.parse(rows[0]?.['QUERY PLAN'] ?? '[]');
  return plans.flatMap(({ Plan }) => walksBelow(Plan, false));
}

function walksBelow(node: PlanNode, endsEarly: boolean): string[] {
  const type = node['Node Type'];
  const isWalk =
    type === 'Seq Scan' || (/^Index (Only )?Scan$/.test(type) && node['Index Cond'] === undefined && !endsEarly);
  const ends = type === 'Limit' || (endsEarly && !/^(Sort|Hash|Aggregate|Materialize)$/.test(type));
  return [
    ...(isWalk ? [`${type} of ${node['Index Name'] ?? node['Relation Name']}`] : []),
    ...(node.Plans ?? []).flatMap((below) => walksBelow(below, ends)),
  ];
}
