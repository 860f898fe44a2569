/** Where a job reads from and writes to: files and folders by their paths, or datasets by way of the registry. */
import { basename, join, resolve, sep } from 'node:path';
import { AssayError, type LogBatchPredictions } from '@assay/contracts';
import { openRowSource, type RowSource } from '@assay/tables';
import type { CheckpointHeader } from '../domain/checkpoint.ts';
import type { JobInput } from './job-input.ts';
import { type DatasetDoor, openDatasetOutput } from './output-dataset.ts';
import { explained, type OutputPlace, openOutputFolder } from './output-folder.ts';
import type { Reporter } from './reporter.ts';

export interface JobSurroundings {
  /** The folder of the version's package. */
  readonly packageDir: string;
  readonly report: Reporter;
  /** For inputs and outputs that are datasets. */
  readonly datasets?: DatasetDoor;
  /** Sends predictions to the prediction log, for a spec that asks for it. */
  readonly logPredictions?: (body: LogBatchPredictions) => Promise<void>;
  readonly signal: AbortSignal;
}

export type BatchJobInput = Pick<
  JobInput,
  'jobId' | 'spec' | 'baseDir' | 'version' | 'dataset' | 'tableMemoryBytes'
> & {
  readonly threads: number;
};

/** What the log calls the input. */
export function inputName({ spec, baseDir, dataset }: BatchJobInput): string {
  if ('path' in spec.input) return resolve(baseDir, spec.input.path);
  return `dataset ${spec.input.dataset} version ${dataset?.version}`;
}

export function doorOf({ datasets }: JobSurroundings): DatasetDoor {
  if (datasets !== undefined) return datasets;
  throw new AssayError('INTERNAL', 'a job with datasets was begun without a way to the registry');
}

/** Opens the files of the spec; those of a dataset are fetched first, each checked against its digest. */
export async function openInput(
  input: BatchJobInput,
  surroundings: JobSurroundings,
  workDir: string,
): Promise<RowSource> {
  const { spec, baseDir, dataset } = input;
  const { signal } = surroundings;
  const shared = {
    ...(spec.input.types === undefined ? {} : { types: spec.input.types }),
    workDir,
    memoryLimitBytes: input.tableMemoryBytes,
    signal,
  };
  if ('path' in spec.input) {
    const { path, format } = spec.input;
    return openRowSource({ ...shared, path: resolve(baseDir, path), ...(format === undefined ? {} : { format }) });
  }
  if (dataset === undefined) throw new AssayError('INTERNAL', 'a job was begun without the dataset that it reads');
  const { registry, dir } = doorOf(surroundings);
  const folder = join(dir, 'input');
  await explained(folder, () => registry.downloadDataset(dataset, folder, { signal }));
  return openRowSource({ ...shared, path: join(folder, '*'), format: dataset.format });
}

/** What the files of the input are called in results and errors: those of a dataset the same on every machine. */
export function fileNames({ dataset }: BatchJobInput, { files }: RowSource): string[] {
  return files.map(({ path }) => (dataset === undefined ? path : basename(path)));
}

export async function openPlace(
  { spec, baseDir, dataset }: BatchJobInput,
  surroundings: JobSurroundings,
  { source, header }: { readonly source: RowSource; readonly header: CheckpointHeader },
): Promise<OutputPlace> {
  if ('path' in spec.output) {
    const outputDir = resolve(baseDir, spec.output.path);
    requireApart(source, outputDir);
    return openOutputFolder(outputDir, header);
  }
  const door = doorOf(surroundings);
  return openDatasetOutput({
    door,
    dataset: spec.output.dataset,
    header,
    spec,
    input: dataset,
    signal: surroundings.signal,
  });
}

/** Results beside the input would be input themselves the next time. */
function requireApart({ files }: RowSource, outputDir: string): void {
  const inside = files.find(({ path }) => path.startsWith(`${outputDir}${sep}`));
  if (inside === undefined) return;
  const message = `the input ${inside.path} is in it; choose another folder for the results`;
  throw new AssayError('INVALID_ARGUMENT', `output.path: ${message}`, { details: [{ place: 'output.path', message }] });
}
