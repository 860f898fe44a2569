/** Backups, and collecting what nothing needs, on PostgreSQL. */
import { describe } from 'vitest';
import { onPostgres } from '../testing/postgres.ts';

onPostgres();

describe('on PostgreSQL', async () => {
  await import('./backup.real.test.ts');
  await import('../collection/collection.real.test.ts');
  await import('../collection/collection-races.real.test.ts');
});
