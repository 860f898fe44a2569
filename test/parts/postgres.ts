/** A real PostgreSQL server: the one that the tests of the packages use. */
export { type Postgres, type PostgresOptions, startPostgres } from '@assay/database/testing';
