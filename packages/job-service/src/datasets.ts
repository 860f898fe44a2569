/** Datasets that specs name: resolved once, fetched and written by way of the door. */
import type { RegistryClient } from '@assay/client';
import { AssayError, type DatasetReference, type DatasetVersion } from '@assay/contracts';
import type { RegistryCall } from './kind.ts';

/** As a spec names it. */
export interface NamedDataset {
  readonly dataset: string;
  /** Absent: the newest. */
  readonly version?: number;
}

/**
 * What a spec names, as it is now.
 * @param place `spec.source`
 * @throws AssayError NOT_FOUND
 */
export async function resolveDataset(
  registry: RegistryClient,
  { dataset, version }: NamedDataset,
  place: string,
): Promise<DatasetReference> {
  try {
    const found = await registry.getDatasetVersion(dataset, version);
    return { id: found.id, datasetName: found.datasetName, version: found.version, digest: found.digest };
  } catch (thrown) {
    const error = AssayError.from(thrown);
    if (error.code !== 'NOT_FOUND') throw error;
    const wanted = version === undefined ? `dataset ${dataset}` : `version ${version} of the dataset ${dataset}`;
    const message = `${place}.dataset: the registry has no ${wanted}; register it (assay datasets register)`;
    throw new AssayError('NOT_FOUND', message, { cause: error });
  }
}

/** What a job is given of its dataset: all but the profile, which may be large and which no job reads. */
export async function datasetForJob(
  registry: RegistryClient,
  { datasetName, version }: DatasetReference,
): Promise<DatasetVersion> {
  const { profile: _, ...dataset } = await registry.getDatasetVersion(datasetName, version);
  return dataset;
}

/** What fetching a version needs: it and its files. */
export function callsToRead({ datasetName, version }: DatasetReference): readonly RegistryCall[] {
  const path = `/v1/datasets/${encodeURIComponent(datasetName)}/versions/${version}`;
  return [
    { methods: ['GET'], path },
    { methods: ['GET', 'HEAD'], path: `${path}/files/` },
  ];
}

/** What registering versions of a dataset needs, the files of any digest included. */
export function callsToRegister(dataset: string): readonly RegistryCall[] {
  return [
    { methods: ['HEAD', 'PUT'], path: '/v1/blobs/' },
    { methods: ['POST'], path: `/v1/datasets/${encodeURIComponent(dataset)}/versions` },
  ];
}
