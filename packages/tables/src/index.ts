export type { ColumnData, FeatureColumn, TableChunk } from './columns.ts';
export { DataError } from './data-error.ts';
export { type Dataset, type DatasetOptions, type DatasetSource, openDataset } from './dataset.ts';
export type { ColumnRequest, Condition, SourceColumn } from './expressions.ts';
export type { FeatureRequest } from './feature-sql.ts';
export { countFileRows } from './file-rows.ts';
export type {
  FeatureChunk,
  LoadedRows,
  LoadedSegment,
  ResultColumn,
  ResultRows,
  ResultTable,
  ResultValues,
  WrittenColumn,
  WrittenRows,
} from './loaded-rows.ts';
export type { Dictionary, PreparedTable, ReadColumn, RowFilter } from './prepared-table.ts';
export type { ColumnProfile } from './profile.ts';
export { openRowSource, type RowPosition, type RowSource, type RowSourceOptions } from './row-source.ts';
export { type DataFile, type DataFormat, findDataFiles } from './source-files.ts';
export type { TextColumn } from './text-column.ts';
export type { BrokenRow, RowRun } from './text-rows.ts';
