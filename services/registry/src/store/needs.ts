/** Who needs a version or a dataset version, and would be left without it. */
import { AssayError, type ErrorDetail, type Variant } from '@assay/contracts';
import { inChunks } from './blob-claims.ts';
import { shadowsOf } from './endpoint-rows.ts';
import { fedBy } from './fed-versions.ts';
import { fromJson, type Queryable } from './tables.ts';

/** More do not help a reader. */
const MAX_NAMED = 20;
const PAGE = 100;

/** What is deleted together: what its own parts need does not hold it up. */
export interface Leaving {
  readonly what: string;
  readonly versions: readonly { readonly id: string; readonly version: number; readonly digest: string }[];
}

/**
 * A pipeline scores at an endpoint, so that what the endpoint serves it needs, too.
 * @throws AssayError FAILED_PRECONDITION naming who needs one of the versions
 */
export async function refuseNeededVersions(
  db: Queryable,
  leaving: Leaving,
  aliases: 'go with it' | 'need it',
): Promise<void> {
  refuseIfAny(leaving.what, [
    ...(await servingEndpoints(db, leaving)),
    ...(aliases === 'need it' ? await pointingAliases(db, leaving) : []),
    ...(await madeFromVersions(db, leaving)),
  ]);
}

/** @throws AssayError FAILED_PRECONDITION naming who needs one of the dataset versions */
export async function refuseNeededDatasets(db: Queryable, leaving: Leaving): Promise<void> {
  refuseIfAny(leaving.what, [...(await madeFromDatasets(db, leaving)), ...(await fedVersions(db, leaving))]);
}

function refuseIfAny(what: string, needs: readonly ErrorDetail[]): void {
  const [first] = needs;
  if (first === undefined) return;
  const more = needs.length > 1 ? ` (and ${needs.length - 1} more)` : '';
  throw new AssayError('FAILED_PRECONDITION', `${what} is needed: ${first.place} ${first.message}${more}`, {
    details: needs.slice(0, MAX_NAMED),
  });
}

async function servingEndpoints(db: Queryable, { versions }: Leaving): Promise<ErrorDetail[]> {
  const numbers = new Map(versions.map((row) => [row.id, row.version]));
  const rows = await db
    .selectFrom('endpoints')
    .select(['name', 'variants', 'shadows'])
    .where('deleted_at', 'is', null)
    .orderBy('name')
    .execute();
  return rows.flatMap((row) => {
    const place = `endpoint ${row.name}`;
    const served = fromJson<Variant[]>(row.variants).find(({ versionId }) => numbers.has(versionId));
    if (served !== undefined) {
      const which = `serves version ${numbers.get(served.versionId)}`;
      return [{ place, message: `${which}; delete the endpoint, or give it another version, first` }];
    }
    const shadow = shadowsOf(row).find(({ versionId }) => numbers.has(versionId));
    if (shadow === undefined) return [];
    return [{ place, message: `has version ${numbers.get(shadow.versionId)} as a shadow; take it from there first` }];
  });
}

async function pointingAliases(db: Queryable, { versions }: Leaving): Promise<ErrorDetail[]> {
  const needs: ErrorDetail[] = [];
  for (const { id, version } of versions) {
    const rows = await db.selectFrom('aliases').select('alias').where('version_id', '=', id).orderBy('alias').execute();
    for (const { alias } of rows)
      needs.push({ place: `alias ${alias}`, message: `points at version ${version}; move or delete the alias first` });
  }
  return needs;
}

/** Versions that say that they were made from one of these, where no other that stays is the same package. */
async function madeFromVersions(db: Queryable, { versions }: Leaving): Promise<ErrorDetail[]> {
  const ids = new Set(versions.map(({ id }) => id));
  const needs: ErrorDetail[] = [];
  for (const some of inChunks(versions)) {
    const digests = [...new Set(some.map(({ digest }) => digest))];
    const same = await db
      .selectFrom('versions')
      .select(['id', 'digest'])
      .where('digest', 'in', digests)
      .where('deleted_at', 'is', null)
      .execute();
    const staying = new Set(same.filter(({ id }) => !ids.has(id)).map(({ digest }) => digest));
    const children = await db
      .selectFrom('version_inputs')
      .innerJoin('versions', 'versions.id', 'version_inputs.version_id')
      .innerJoin('models', 'models.id', 'versions.model_id')
      .select(['versions.id', 'versions.version', 'models.name', 'version_inputs.digest'])
      .where('version_inputs.kind', '=', 'version')
      .where('version_inputs.digest', 'in', digests)
      .where('versions.deleted_at', 'is', null)
      .orderBy('versions.id')
      .execute();
    for (const child of children) {
      if (ids.has(child.id) || staying.has(child.digest)) continue;
      const parent = some.find(({ digest }) => digest === child.digest)?.version;
      needs.push({
        place: `version ${child.version} of ${child.name}`,
        message: `was made from version ${parent}; delete it first`,
      });
    }
  }
  return needs;
}

async function madeFromDatasets(db: Queryable, { versions }: Leaving): Promise<ErrorDetail[]> {
  const numbers = new Map(versions.map((row) => [row.id, row.version]));
  const needs: ErrorDetail[] = [];
  for (const some of inChunks([...numbers.keys()])) {
    const children = await db
      .selectFrom('dataset_parents')
      .innerJoin('dataset_versions', 'dataset_versions.id', 'dataset_parents.child_id')
      .innerJoin('datasets', 'datasets.id', 'dataset_versions.dataset_id')
      .select(['dataset_parents.child_id', 'dataset_parents.parent_id', 'dataset_versions.version', 'datasets.name'])
      .where('dataset_parents.parent_id', 'in', some)
      .where('dataset_versions.deleted_at', 'is', null)
      .orderBy('dataset_parents.child_id')
      .execute();
    for (const child of children) {
      if (numbers.has(child.child_id)) continue;
      needs.push({
        place: `version ${child.version} of dataset ${child.name}`,
        message: `was made from version ${numbers.get(child.parent_id)}; delete it first`,
      });
    }
  }
  return needs;
}

/** The versions of models that were trained on one of these. */
async function fedVersions(db: Queryable, { versions }: Leaving): Promise<ErrorDetail[]> {
  const needs: ErrorDetail[] = [];
  for (const { id, version } of versions) {
    for (let after: string | undefined; ; ) {
      const page = await fedBy(db, [id], { limit: PAGE, ...(after === undefined ? {} : { after }) });
      for (const { version: fed } of page.fed) {
        if (fed.isDeleted) continue;
        needs.push({
          place: `version ${fed.version} of ${fed.modelName}`,
          message: `was made from version ${version}; delete it first`,
        });
      }
      if (page.next === undefined || needs.length > MAX_NAMED) break;
      after = page.next;
    }
  }
  return needs;
}
