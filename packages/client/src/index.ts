export { createJobPrinter, type JobPrinter, type ShownJob } from './job-printer.ts';
export {
  type BatchClient,
  createBatchClient,
  createTrainingClient,
  hasEnded,
  type TrainingClient,
} from './jobs-client.ts';
export { decodeJson, encodeJson } from './json.ts';
export { createMonitoringClient, type MonitoringClient, type PredictionsQuery } from './monitoring-client.ts';
export type { LocalFile } from './package-transfer.ts';
export {
  type AuditTrailQuery,
  createRegistryClient,
  type RegistryClient,
  type UploadOptions,
} from './registry-client.ts';
export type { DatasetFilesOf, LocalDatasetFile } from './registry-dataset-transfer.ts';
export type { RegisterDataset } from './registry-datasets.ts';
export type { RetryPolicy } from './retry.ts';
export { RunFile, readRunFile, runFilePath } from './run-file.ts';
export { createScoringClient, type ScoreOptions, type ScoringClient, type ServedEndpoint } from './scoring-client.ts';
export type { TraceHeaders } from './trace-headers.ts';
export type { CallOptions, ClientOptions } from './transport.ts';
