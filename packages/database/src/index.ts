export type { AnyTables, Database, Migration, TransactionOptions } from './database.ts';
export { isForeignKeyViolation, isUniqueViolation } from './errors.ts';
export { type OpenDatabaseOptions, openDatabase } from './open-database.ts';
export { type DatabaseSnapshot, openSnapshot, type SnapshotRow } from './snapshot.ts';
