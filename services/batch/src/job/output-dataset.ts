/**
 * Results that become a version of a dataset. The disk of a job may be gone with its pod: so each finished shard's files are
 * put into the registry as blobs, and the shard is written down at the batch service, behind the token of the job. The next
 * attempt goes on behind the last one; the version is registered at the end, once, by the job's id.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { RegistryClient } from '@assay/client';
import {
  AssayError,
  type BatchSpec,
  type DatasetColumn,
  type DatasetReference,
  type DatasetVersion,
  ERRORS_SUFFIX,
  matches,
} from '@assay/contracts';
import { JobError } from '@assay/jobs';
import { countFileRows } from '@assay/tables';
import { CheckpointHeader, FinishedShard, requireSame, type ShardFile } from '../domain/checkpoint.ts';
import { explained, type Manifest, type OutputPlace } from './output-folder.ts';

/** What a job writes down of itself at its service: entries by number from 0 on, each written once. */
export interface JobCheckpoints {
  list(): Promise<readonly unknown[]>;
  put(number: number, entry: object): Promise<void>;
}

export interface DatasetDoor {
  readonly registry: Pick<RegistryClient, 'downloadDataset' | 'createDatasetVersion' | 'putDatasetFiles'>;
  readonly checkpoints: JobCheckpoints;
  /** A folder of this attempt. */
  readonly dir: string;
}

export interface DatasetOutputOptions {
  readonly door: DatasetDoor;
  readonly dataset: string;
  readonly header: CheckpointHeader;
  readonly spec: BatchSpec;
  /** The version that was read, where the input is one. */
  readonly input: DatasetVersion | undefined;
  readonly signal: AbortSignal;
}

/** Where the files of an attempt are until they are put. */
export async function prepareDatasetOutput({ dir }: DatasetDoor): Promise<string> {
  const workDir = join(dir, 'output');
  await rm(workDir, { recursive: true, force: true });
  await mkdir(workDir, { recursive: true });
  return workDir;
}

/** Begins, or goes on behind the last shard that was written down. */
export async function openDatasetOutput(options: DatasetOutputOptions): Promise<OutputPlace> {
  const { door, dataset, header, signal } = options;
  const { registry, checkpoints } = door;
  const workDir = join(door.dir, 'output');
  const finished = await readShards(options);
  if (finished === undefined) await checkpoints.put(0, header);
  let next = 1 + (finished?.length ?? 0);
  return {
    dir: workDir,
    workDir,
    finished: finished ?? [],
    isDone: false,
    describes: true,
    async publish(temporary, name, rows) {
      const path = join(workDir, name);
      const format = name.endsWith('.ndjson') ? 'ndjson' : header.output.format;
      const [counted] = await countFileRows([temporary], format, signal);
      if (counted !== rows) throw new AssayError('INTERNAL', `${name} holds ${counted} rows, ${rows} were written`);
      const [file] = await registry.putDatasetFiles([{ name, file: temporary }], { signal });
      if (file === undefined) throw new AssayError('INTERNAL', `${path} was not put`);
      await rm(temporary);
      return file;
    },
    async record(shard) {
      await checkpoints.put(next, shard);
      next++;
    },
    async verify() {
      // Each file was counted before it was put, and the registry compared its digest.
    },
    complete: (manifest) => explained(workDir, () => register(options, manifest)),
    where: dataset,
  };
}

async function readShards({ door, header, dataset }: DatasetOutputOptions): Promise<FinishedShard[] | undefined> {
  const [before, ...entries] = await door.checkpoints.list();
  if (before === undefined) return undefined;
  if (!matches(CheckpointHeader, before)) throw notOurs(0);
  requireSame(before, header, `the output of dataset ${dataset}`);
  return entries.map((entry, i) => {
    if (!matches(FinishedShard, entry) || entry.shard !== i) throw notOurs(i + 1);
    return entry;
  });
}

function notOurs(number: number): AssayError {
  return new AssayError(
    'FAILED_PRECONDITION',
    `checkpoint ${number} of the job is of another version of Assay; create a new job`,
  );
}

/** The errors first: a version of results stands for a job that is done. */
async function register(
  { door, dataset, header, spec, input, signal }: DatasetOutputOptions,
  { shards, rowsOut, rowsFailed }: Manifest,
): Promise<{ dataset: DatasetReference; errorsDataset?: DatasetReference }> {
  const { jobId, version } = header;
  const [first] = shards;
  if (first === undefined) throw new JobError('data', 'the input has no rows: there is nothing to register');
  const about = {
    layer: 'processed' as const,
    source: `batch job ${jobId}: ${version.modelName} version ${version.version} (${version.versionId}, sha256 ${version.digest})`,
    changes: `What batch job ${jobId} wrote.`,
    ...(input === undefined ? {} : { parents: [input.id] }),
  };
  const create = async (name: string, files: readonly ShardFile[], rest: Rest): Promise<DatasetReference> => {
    const body = { ...about, ...rest, files: [...files] };
    const made = await door.registry.createDatasetVersion(name, body, { signal });
    return { id: made.id, datasetName: made.datasetName, version: made.version, digest: made.digest };
  };
  const errors = shards.flatMap((shard) => (shard.errors === null ? [] : [shard.errors]));
  const errorsDataset =
    errors.length === 0
      ? undefined
      : await create(`${dataset}${ERRORS_SUFFIX}`, errors, {
          format: 'ndjson',
          rows: rowsFailed,
          schema: ERROR_COLUMNS,
          description: `Rows of batch job ${jobId} that were not scored, and why.`,
          idempotencyKey: `${jobId}${ERRORS_SUFFIX}`,
        });
  const results = await create(
    dataset,
    shards.map((shard) => shard.results),
    {
      format: spec.output.format ?? 'parquet',
      rows: rowsOut,
      schema: columnsOf(shards),
      description: `Predictions of ${version.modelName} version ${version.version}.`,
      idempotencyKey: jobId,
    },
  );
  return { dataset: results, ...(errorsDataset === undefined ? {} : { errorsDataset }) };
}

interface Rest {
  readonly format: 'csv' | 'ndjson' | 'parquet';
  readonly rows: number;
  readonly schema: DatasetColumn[];
  readonly description: string;
  readonly idempotencyKey: string;
}

/** Those of the first shard; a column may lack a value in any. */
function columnsOf(shards: readonly FinishedShard[]): DatasetColumn[] {
  const all = shards.map(({ columns }) => columns ?? []);
  return (all[0] ?? []).map((column, i) => ({
    ...column,
    nullable: all.some((columns) => columns[i]?.nullable === true),
  }));
}

/** Of an errors file. */
const ERROR_COLUMNS: DatasetColumn[] = [
  { name: 'file', type: 'VARCHAR', nullable: false },
  { name: 'row', type: 'BIGINT', nullable: false },
  { name: 'line', type: 'BIGINT', nullable: true },
  { name: 'place', type: 'VARCHAR', nullable: false },
  { name: 'reason', type: 'VARCHAR', nullable: false },
  { name: 'expected', type: 'VARCHAR', nullable: true },
  { name: 'others', type: 'JSON', nullable: true },
];
