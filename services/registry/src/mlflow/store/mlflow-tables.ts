/** The tables of what MLflow's clients keep. Times are integer milliseconds; lists of tags are JSON where nothing searches them. */

export interface Tagged {
  key: string;
  value: string;
}

/** A version that a client of MLflow made. It is reserved here first; the row in `versions` follows when its package is made. */
export interface MlflowVersionsTable {
  version_id: string;
  model_id: string;
  version: number;
  source: string;
  run_id: string | null;
  run_link: string;
  logged_model_id: string | null;
  description: string;
  /** JSON. */
  tags: string;
  /** Who acted, for the entry that the finished version gets. */
  principal: string;
  key_id: string | null;
  request_id: string;
  traceparent: string;
  created_at: number;
  /** 1 until the row in `versions` is there. */
  is_pending: number;
}

export interface ExperimentsTable {
  id: string;
  name: string;
  lifecycle: 'active' | 'deleted';
  artifact_location: string;
  created_at: number;
  updated_at: number;
  /** null while it is active. */
  deleted_at: number | null;
}

export interface RunsTable {
  id: string;
  experiment_id: string;
  name: string;
  user_id: string;
  status: string;
  lifecycle: 'active' | 'deleted';
  start_time: number;
  end_time: number | null;
  artifact_uri: string;
  created_by: string;
  /** null while it is active. */
  deleted_at: number | null;
}

/** What no database column holds alike: `value` is then 0, or the largest number of that sign. */
export type Special = '' | 'NaN' | 'Infinity' | '-Infinity';

export interface MetricPoint {
  key: string;
  step: number;
  timestamp: number;
  value: number;
  special: Special;
}

export interface LoggedModelsTable {
  id: string;
  experiment_id: string;
  name: string;
  artifact_uri: string;
  status: string;
  model_type: string;
  source_run_id: string | null;
  created_at: number;
  updated_at: number;
  deleted_at: number | null;
}

export interface ArtifactsTable {
  path: string;
  /** The path of the folder that it is in; '' at the root. */
  parent: string;
  /** null for a folder, as is `sha256`. */
  blob_key: string | null;
  sha256: string | null;
  size_bytes: number;
  created_at: number;
}

export interface RunDatasetsTable {
  run_id: string;
  name: string;
  digest: string;
  source_type: string;
  source: string;
  schema: string | null;
  profile: string | null;
  tags: string;
}

export interface RunModelsTable {
  run_id: string;
  direction: 'input' | 'output';
  model_id: string;
  step: number;
}

export interface MlflowTables {
  model_tags: Tagged & { model_id: string };
  /** `created_at` is the version's, by which the versions with a tag are listed. */
  version_tags: Tagged & { version_id: string; created_at: number };
  mlflow_versions: MlflowVersionsTable;
  mlflow_experiment_ids: { singleton: number; last: number };
  mlflow_experiments: ExperimentsTable;
  mlflow_experiment_tags: Tagged & { experiment_id: string };
  mlflow_runs: RunsTable;
  mlflow_run_tags: Tagged & { run_id: string };
  mlflow_params: Tagged & { run_id: string };
  mlflow_metrics: MetricPoint & { run_id: string };
  mlflow_latest_metrics: MetricPoint & { run_id: string };
  mlflow_run_datasets: RunDatasetsTable;
  mlflow_run_models: RunModelsTable;
  mlflow_logged_models: LoggedModelsTable;
  mlflow_logged_model_tags: Tagged & { model_id: string };
  mlflow_logged_model_params: Tagged & { model_id: string };
  mlflow_logged_model_metrics: MetricPoint & {
    model_id: string;
    run_id: string;
    dataset_name: string;
    dataset_digest: string;
  };
  mlflow_artifacts: ArtifactsTable;
}
