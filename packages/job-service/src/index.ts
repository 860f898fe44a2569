export { type JobServiceConfig, jobServiceSettings } from './config.ts';
export {
  callsToRead,
  callsToRegister,
  datasetForJob,
  type NamedDataset,
  resolveDataset,
} from './datasets.ts';
export { describeJobService } from './describe.ts';
export { JobParams } from './http/job-routes.ts';
export type { Parts, PartsOf } from './http/parts.ts';
export { tokenOf } from './http/report-routes.ts';
export type {
  CreateJobOf,
  JobKind,
  JobObserver,
  JobOf,
  JobTypes,
  LaunchInput,
  LaunchPlace,
  LocalPath,
  RegistryCall,
} from './kind.ts';
export { jobServiceMain } from './main.ts';
export { type JobMetrics, jobMetrics } from './metrics.ts';
export { createJobService, type JobServiceDeps } from './service.ts';
export { jobMigrations } from './store/migrations/index.ts';
