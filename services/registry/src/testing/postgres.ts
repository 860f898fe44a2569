/** The registries of a test file on PostgreSQL: a real server for the file, a schema for each registry. */
import { type Postgres, startPostgres } from '@assay/database/testing';
import { afterAll, beforeAll } from 'vitest';
import { useDatabases } from './database.ts';

export interface OnPostgres {
  readonly server: Postgres;
  /** Of all registries so far. */
  readonly schemas: readonly string[];
  /** Each registry has a schema of its own again. */
  useOwnSchemas(): void;
}

/** To be called once in a file. @returns what there is once its tests run */
export function onPostgres(): () => OnPostgres {
  let running: OnPostgres | undefined;
  beforeAll(async () => {
    const server = await startPostgres();
    const schemas = new Map<string, string>();
    const useOwnSchemas = (): void =>
      useDatabases((dir) => {
        const schema = schemas.get(dir) ?? `registry_${schemas.size + 1}`;
        schemas.set(dir, schema);
        return server.url(schema);
      });
    running = {
      server,
      get schemas() {
        return [...schemas.values()];
      },
      useOwnSchemas,
    };
    useOwnSchemas();
  });
  afterAll(() => running?.server[Symbol.asyncDispose]());
  return () => {
    if (running === undefined) throw new Error('no server before the tests run');
    return running;
  };
}
