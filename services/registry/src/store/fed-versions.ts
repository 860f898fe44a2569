/** The versions of models that were made from datasets: as their packages tell, and as the runs that logged them do. */
import type { FedVersion } from '@assay/contracts';
import { sql } from 'kysely';
import { contextOf, MLFLOW_DIGEST_LENGTH } from '../domain/version-lineage.ts';
import { readVersions } from './lineage-versions.ts';
import type { Queryable } from './tables.ts';

interface FedRow {
  readonly version_id: string;
  readonly dataset_id: string;
  readonly told_by: 'package' | 'run';
  /** JSON of the run; '' of a package. */
  readonly tags: string;
}

/**
 * A page of them, by version id.
 * @param datasets the ids of dataset versions
 */
export async function fedBy(
  db: Queryable,
  datasets: readonly string[],
  page: { readonly after?: string; readonly limit: number },
): Promise<{ fed: FedVersion[]; next?: string }> {
  const ids = sql.join(datasets);
  const [afterVersion = '', afterDataset = ''] = page.after?.split('.') ?? [];
  const { rows } = await sql<FedRow>`
    select version_id, dataset_id, min(told_by) as told_by, max(tags) as tags from (
      select i.version_id, d.id as dataset_id, 'package' as told_by, '' as tags
      from dataset_versions d
      join version_inputs i on i.kind = 'dataset' and i.digest = d.digest and (i.named_id is null or i.named_id = d.id)
      where d.id in (${ids})
      union
      select i.version_id, f.dataset_version_id, 'package', ''
      from dataset_files f
      join version_inputs i on i.kind = 'file' and i.digest = f.sha256
      where f.dataset_version_id in (${ids})
      union
      select l.version_id, d.id, 'run', r.tags
      from dataset_versions d
      join mlflow_run_datasets r on r.digest = substr(d.digest, 1, ${sql.lit(MLFLOW_DIGEST_LENGTH)})
      join version_lineage l on l.run_id = r.run_id
      where d.id in (${ids})
      union
      select l.version_id, f.dataset_version_id, 'run', r.tags
      from dataset_files f
      join mlflow_run_datasets r on r.digest = substr(f.sha256, 1, ${sql.lit(MLFLOW_DIGEST_LENGTH)})
      join version_lineage l on l.run_id = r.run_id
      where f.dataset_version_id in (${ids})
    ) as fed
    where version_id > ${afterVersion} or (version_id = ${afterVersion} and dataset_id > ${afterDataset})
    group by version_id, dataset_id
    order by version_id, dataset_id
    limit ${sql.lit(page.limit + 1)}`.execute(db);
  const shown = rows.slice(0, page.limit);
  const versions = await readVersions(
    db,
    shown.map((row) => row.version_id),
  );
  const fed = shown.flatMap(({ version_id, dataset_id, told_by, tags }): FedVersion[] => {
    const version = versions.get(version_id);
    const context = tags === '' ? undefined : contextOf(tags);
    return version === undefined
      ? []
      : [{ version, dataset: dataset_id, toldBy: told_by, ...(context === undefined ? {} : { context }) }];
  });
  const last = shown.at(-1);
  return rows.length > page.limit && last !== undefined
    ? { fed, next: `${last.version_id}.${last.dataset_id}` }
    : { fed };
}
