/** The routing snapshot: all that inference needs to route and to load, of one moment. */
import type { PackageFile, RoutedEndpoint, RoutedVersion, RoutingSnapshot, Signature, Variant } from '@assay/contracts';
import type { Database } from '@assay/database';
import { cacheOf, limitsOf, shadowsOf } from './endpoint-rows.ts';
import { allPipelines } from './pipelines.ts';
import { fromJson, type Queryable, type RegistryTables } from './tables.ts';

export async function readRoutingRevision(db: Queryable): Promise<number> {
  const row = await db.selectFrom('routing').select('revision').executeTakeFirstOrThrow();
  return row.revision;
}

/** Read in one transaction, so that endpoints, versions and revision belong together. */
export function readSnapshot(database: Database<RegistryTables>): Promise<RoutingSnapshot> {
  return database.transaction(async (trx) => {
    const revision = await readRoutingRevision(trx);
    const rows = await trx
      .selectFrom('endpoints')
      .selectAll()
      .where('deleted_at', 'is', null)
      .orderBy('name')
      .execute();
    const endpoints = rows.map((row): RoutedEndpoint => {
      const limits = limitsOf(row);
      const cache = cacheOf(row);
      const shadows = shadowsOf(row).map(({ versionId, ratio }) => ({ versionId, ratio }));
      return {
        id: row.id,
        name: row.name,
        revision: row.revision,
        contract: fromJson<Signature>(row.contract),
        salt: row.salt,
        defaultTimeoutMs: row.default_timeout_ms,
        ...(limits === null ? {} : { limits }),
        ...(cache === null ? {} : { cache }),
        ...(shadows.length === 0 ? {} : { shadows }),
        variants: fromJson<Variant[]>(row.variants),
      };
    });
    const named = new Set(endpoints.flatMap(namedVersions));
    const versions = await readVersions(trx, [...named]);
    const pipelines = await allPipelines(trx);
    return { revision, endpoints, versions, ...(pipelines.length === 0 ? {} : { pipelines }) };
  });
}

function namedVersions({ variants, shadows = [] }: RoutedEndpoint): string[] {
  return [...variants, ...shadows].map(({ versionId }) => versionId);
}

/** Ids bound in one statement; SQLite and PostgreSQL allow tens of thousands. */
const IDS_AT_ONCE = 1000;

async function readVersions(db: Queryable, ids: readonly string[]): Promise<RoutedVersion[]> {
  const versions: RoutedVersion[] = [];
  for (let from = 0; from < ids.length; from += IDS_AT_ONCE) {
    const rows = await db
      .selectFrom('versions')
      .innerJoin('models', 'models.id', 'versions.model_id')
      .select([
        'versions.id',
        'versions.model_id',
        'models.name',
        'versions.version',
        'versions.digest',
        'versions.files',
      ])
      .where('versions.id', 'in', ids.slice(from, from + IDS_AT_ONCE))
      .orderBy('versions.id')
      .execute();
    for (const row of rows) {
      versions.push({
        id: row.id,
        modelId: row.model_id,
        modelName: row.name,
        version: row.version,
        digest: row.digest,
        files: fromJson<PackageFile[]>(row.files),
      });
    }
  }
  return versions;
}
