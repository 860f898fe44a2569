/** For tests: how SQLite answers what a function asks. */
import { CompiledQuery, type Kysely, type RootOperationNode } from 'kysely';
import type { Queryable, RegistryTables } from '../store/tables.ts';

/** Each step that walks a table or an index from one end to the other, with the statement; what is asked must be something. */
export async function walksOf(db: Kysely<RegistryTables>, ask: (db: Queryable) => Promise<unknown>): Promise<string[]> {
  const asked: RootOperationNode[] = [];
  const watched = db.withPlugin({
    transformQuery({ node }) {
      asked.push(node);
      return node;
    },
    transformResult: async ({ result }) => result,
  });
  await ask(watched);
  if (asked.length === 0) throw new Error('nothing was asked');
  const walks: string[] = [];
  for (const node of asked) {
    const { sql, parameters } = db.getExecutor().compileQuery(node, { queryId: 'plan' });
    const plan = CompiledQuery.raw(`explain query plan ${sql}`, [...parameters]);
    const { rows } = await db.executeQuery<{ detail: string }>(plan);
    for (const { detail } of rows) if (detail.startsWith('SCAN')) walks.push(`${detail}: ${sql}`);
  }
  return walks;
}
