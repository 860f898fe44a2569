/** The datasets of the registry: the part of its client that knows their paths and bodies. */
import { randomUUID } from 'node:crypto';
import {
  type CreateDatasetVersion,
  Dataset,
  DatasetChanges,
  type DatasetFile,
  DatasetLineage,
  DatasetVersion,
  DatasetVersionSummary,
  Page,
  type PageQuery,
} from '@assay/contracts';
import { putAgainIfGone } from './put-again.ts';
import {
  type DatasetFilesOf,
  downloadDatasetFiles,
  type LocalDatasetFile,
  uploadDatasetFiles,
} from './registry-dataset-transfer.ts';
import { type Call, type CallOptions, segment, type Transport } from './transport.ts';

/** What a version becomes, with files of this machine: see {@link CreateDatasetVersion}. */
export interface RegisterDataset extends Omit<CreateDatasetVersion, 'files'> {
  readonly files: readonly LocalDatasetFile[];
}

const DatasetPage = Page(Dataset, 'DatasetPage');
const DatasetVersionPage = Page(DatasetVersionSummary, 'DatasetVersionPage');

/** @param transferTimeoutMs for one file, and for the registration of thousands */
export function datasetMethods(transport: Transport, transferTimeoutMs: number) {
  const get = (path: string, query?: Call['query']): Call => ({
    method: 'GET',
    path,
    ...(query === undefined ? {} : { query }),
    idempotent: true,
  });
  const versionsOf = (name: string): string => `/v1/datasets/${segment(name)}/versions`;

  function createDatasetVersion(name: string, body: CreateDatasetVersion, o?: CallOptions): Promise<DatasetVersion> {
    const json = { ...body, idempotencyKey: body.idempotencyKey ?? randomUUID() };
    const call: Call = { method: 'POST', path: versionsOf(name), json, idempotent: true };
    return transport.json(DatasetVersion, { ...call, timeoutMs: transferTimeoutMs }, o);
  }

  return {
    /** By name. */
    listDatasets(query: PageQuery & { readonly deleted?: boolean } = {}, o?: CallOptions): Promise<Page<Dataset>> {
      return transport.json(DatasetPage, get('/v1/datasets', query), o);
    },
    getDataset(name: string, o?: CallOptions): Promise<Dataset> {
      return transport.json(Dataset, get(`/v1/datasets/${segment(name)}`), o);
    },
    /** Newest first. */
    listDatasetVersions(
      name: string,
      query: PageQuery & { readonly deleted?: boolean } = {},
      o?: CallOptions,
    ): Promise<Page<DatasetVersionSummary>> {
      return transport.json(DatasetVersionPage, get(versionsOf(name), query), o);
    },
    /** Without a number, the newest. */
    getDatasetVersion(name: string, version?: number, o?: CallOptions): Promise<DatasetVersion> {
      return transport.json(DatasetVersion, get(`${versionsOf(name)}/${version ?? 'latest'}`), o);
    },
    getDatasetVersionById(id: string, o?: CallOptions): Promise<DatasetVersion> {
      return transport.json(DatasetVersion, get(`/v1/dataset-versions/${segment(id)}`), o);
    },
    /** What a version changed since the one before, or since another. */
    getDatasetChanges(name: string, version?: number, since?: number, o?: CallOptions): Promise<DatasetChanges> {
      const query = since === undefined ? {} : { since };
      return transport.json(DatasetChanges, get(`${versionsOf(name)}/${version ?? 'latest'}/changes`, query), o);
    },
    /** `query` pages through the versions of models that it fed. */
    getDatasetLineage(name: string, version?: number, query: PageQuery = {}, o?: CallOptions): Promise<DatasetLineage> {
      return transport.json(DatasetLineage, get(`${versionsOf(name)}/${version ?? 'latest'}/lineage`, query), o);
    },
    /** FAILED_PRECONDITION, with who needs it, where a version of a model or of a dataset was made from it. */
    deleteDatasetVersion(name: string, version: number, o?: CallOptions): Promise<void> {
      return transport.done({ method: 'DELETE', path: `${versionsOf(name)}/${version}`, idempotent: false }, o);
    },
    restoreDatasetVersion(name: string, version: number, o?: CallOptions): Promise<DatasetVersion> {
      const path = `${versionsOf(name)}/${version}/restore`;
      return transport.json(DatasetVersion, { method: 'POST', path, idempotent: false }, o);
    },
    /** With all its versions. */
    deleteDataset(name: string, o?: CallOptions): Promise<void> {
      return transport.done({ method: 'DELETE', path: `/v1/datasets/${segment(name)}`, idempotent: false }, o);
    },
    restoreDataset(name: string, o?: CallOptions): Promise<Dataset> {
      const path = `/v1/datasets/${segment(name)}/restore`;
      return transport.json(Dataset, { method: 'POST', path, idempotent: false }, o);
    },
    /** Uploads the files that the registry does not have yet, for a version that is registered later. */
    putDatasetFiles(files: readonly LocalDatasetFile[], o: CallOptions = {}): Promise<DatasetFile[]> {
      return uploadDatasetFiles(transport, files, o, transferTimeoutMs);
    },
    /** Registers files that were put before; {@link registerDataset} does both. */
    createDatasetVersion,
    /**
     * Uploads the files that the registry does not have yet, then registers the next version of the dataset, which is made
     * with its first. A table that is the newest version already is answered with that one. `changes` is required from
     * version 2 on; on version 1 it may be there.
     */
    async registerDataset(
      name: string,
      { files: locals, ...about }: RegisterDataset,
      o: CallOptions = {},
    ): Promise<DatasetVersion> {
      return putAgainIfGone(
        () => uploadDatasetFiles(transport, locals, o, transferTimeoutMs),
        (files) => createDatasetVersion(name, { ...about, files }, o),
      );
    },
    /**
     * Downloads the files of a version into `dir`, each checked against its digest. The folder is whole or absent: it gets
     * its name when the last file is there. A download that was broken off goes on with the files that it had. Where `dir`
     * is the dataset already nothing is done; ALREADY_EXISTS where it is something else.
     */
    downloadDataset(version: DatasetFilesOf, dir: string, o: CallOptions = {}): Promise<void> {
      return downloadDatasetFiles(transport, version, dir, o, transferTimeoutMs);
    },
  };
}
