/** Where the rows are: the files that the spec names, or those of its dataset, brought here. */
import { stat } from 'node:fs/promises';
import { isAbsolute, join, resolve } from 'node:path';
import type { RegistryClient } from '@assay/client';
import { AssayError } from '@assay/contracts';
import type { DatasetSource } from '@assay/tables';
import type { JobInput } from './job-input.ts';
import type { Reporter } from './reporter.ts';

export interface LocalSource extends DatasetSource {
  /** As whoever wrote the spec knows it. */
  readonly title: string;
}

/**
 * @throws AssayError where the dataset cannot be fetched, with the registry's code
 */
export async function bringSource(
  { spec, baseDir, dataset }: JobInput,
  { dir, registry, report, signal }: SourceSurroundings,
): Promise<LocalSource> {
  const { source } = spec;
  const types = source.types === undefined ? {} : { types: source.types };
  if ('path' in source) {
    return {
      path: isAbsolute(source.path) ? source.path : resolve(baseDir, source.path),
      title: source.path,
      ...(source.format === undefined ? {} : { format: source.format }),
      ...types,
    };
  }
  if (dataset === undefined) throw new AssayError('INTERNAL', `the job was not given the dataset ${source.dataset}`);
  const { datasetName, version, digest, files, sizeBytes, format } = dataset;
  const title = `${datasetName} version ${version}`;
  const size = `${files.length} ${files.length === 1 ? 'file' : 'files'}, ${(sizeBytes / 1e6).toFixed(1)} MB`;
  report.stage('fetch', 1, `dataset ${title} (${size})`);
  const folder = join(dir, 'dataset');
  const startedMs = performance.now();
  await registry.downloadDataset(dataset, folder, { signal });
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  report.note(`dataset ${title}, digest ${digest}: ${size} in ${seconds} s`);
  const found = files.map(async ({ name, sha256, sizeBytes }) => {
    const path = join(folder, name);
    return { path, sha256, sizeBytes, modifiedMs: (await stat(path)).mtimeMs };
  });
  return { path: await Promise.all(found), format, title, ...types };
}

interface SourceSurroundings {
  /** A folder of the job's own. */
  readonly dir: string;
  readonly registry: RegistryClient;
  readonly report: Reporter;
  readonly signal: AbortSignal;
}
