/** The monitoring service's tables. Times are integer milliseconds. */

/** A prediction that is not in a file yet. */
export interface SpoolTable {
  id: string;
  at: number;
  endpoint_id: string;
  endpoint_name: string;
  size_bytes: number;
  /** The file that it is being written to. */
  file: string | null;
  /** A PredictionEntry as JSON. */
  entry: string;
}

/** The ids that arrived of late, so that nothing is kept twice. */
export interface SeenTable {
  id: string;
  seen_at: number;
  /** The file that it is in; null while it is in the spool. */
  file: string | null;
}

/** The Parquet files. One `writing` is written anew, under the same key, after a crash. */
export interface FileTable {
  key: string;
  state: 'writing' | 'kept';
  day: string;
  endpoint_id: string;
  endpoint_name: string;
  from_at: number;
  to_at: number;
  first_id: string;
  last_id: string;
  rows: number;
  size_bytes: number;
}

export interface MonitoringTables {
  spool: SpoolTable;
  seen: SeenTable;
  prediction_file: FileTable;
}
