/** MLflow's API, on PostgreSQL. */
import { describe } from 'vitest';
import { onPostgres } from '../testing/postgres.ts';

onPostgres();

describe('on PostgreSQL', async () => {
  await import('./mlflow.real.test.ts');
});
