/**
 * What lineage is asked for in the direction in which it is not told: the versions that a dataset fed, the datasets made
 * from one, the endpoints and aliases that a version stood behind. What was there before is carried over here; only what
 * packages tell is in the blob store, and is read later (lineage/read-packages.ts).
 */
import type { AnyTables, Migration } from '@assay/database';
import type { Kysely } from 'kysely';

const PAGE = 200;

export const lineageMigration: Migration = {
  name: '022-lineage',
  async up(db) {
    await db.schema
      .createTable('version_lineage')
      .addColumn('version_id', 'text', (c) => c.primaryKey())
      .addColumn('run_id', 'text')
      .addColumn('origin', 'text', (c) => c.notNull())
      .addColumn('is_read', 'bigint', (c) => c.notNull())
      .execute();
    await db.schema.createIndex('version_lineage_by_run').on('version_lineage').column('run_id').execute();
    await db.schema
      .createIndex('version_lineage_by_state')
      .on('version_lineage')
      .columns(['is_read', 'version_id'])
      .execute();
    await db.schema
      .createTable('version_inputs')
      .addColumn('version_id', 'text', (c) => c.notNull())
      .addColumn('kind', 'text', (c) => c.notNull())
      .addColumn('digest', 'text', (c) => c.notNull())
      .addColumn('named_id', 'text')
      .addPrimaryKeyConstraint('version_inputs_by_version', ['version_id', 'kind', 'digest'])
      .execute();
    await db.schema
      .createIndex('version_inputs_by_digest')
      .on('version_inputs')
      .columns(['kind', 'digest', 'version_id'])
      .execute();
    await db.schema
      .createTable('dataset_files')
      .addColumn('sha256', 'text', (c) => c.notNull())
      .addColumn('dataset_version_id', 'text', (c) => c.notNull())
      .addPrimaryKeyConstraint('dataset_files_by_content', ['sha256', 'dataset_version_id'])
      .execute();
    await db.schema
      .createIndex('dataset_files_by_version')
      .on('dataset_files')
      .columns(['dataset_version_id', 'sha256'])
      .execute();
    await db.schema
      .createTable('dataset_parents')
      .addColumn('child_id', 'text', (c) => c.notNull())
      .addColumn('parent_id', 'text', (c) => c.notNull())
      .addPrimaryKeyConstraint('dataset_parents_by_child', ['child_id', 'parent_id'])
      .execute();
    await db.schema
      .createIndex('dataset_parents_by_parent')
      .on('dataset_parents')
      .columns(['parent_id', 'child_id'])
      .execute();
    await db.schema
      .createTable('version_uses')
      .addColumn('kind', 'text', (c) => c.notNull())
      .addColumn('subject', 'text', (c) => c.notNull())
      .addColumn('version_id', 'text', (c) => c.notNull())
      .addColumn('revision', 'bigint', (c) => c.notNull())
      .addColumn('weight', 'bigint', (c) => c.notNull())
      .addColumn('began_at', 'bigint', (c) => c.notNull())
      .addColumn('ended_at', 'bigint')
      .addColumn('principal', 'text', (c) => c.notNull())
      .addPrimaryKeyConstraint('version_uses_by_revision', ['kind', 'subject', 'revision', 'version_id'])
      .execute();
    await db.schema
      .createIndex('version_uses_by_version')
      .on('version_uses')
      .columns(['version_id', 'kind', 'began_at'])
      .execute();
    await db.schema
      .createIndex('version_uses_open')
      .on('version_uses')
      .columns(['kind', 'subject', 'ended_at'])
      .execute();
    await db.schema.createIndex('versions_by_digest').on('versions').column('digest').execute();
    await db.schema.createIndex('dataset_versions_by_digest').on('dataset_versions').column('digest').execute();
    await db.schema
      .createIndex('mlflow_run_datasets_by_digest')
      .on('mlflow_run_datasets')
      .columns(['digest', 'run_id'])
      .execute();

    await db
      .insertInto('version_lineage')
      .columns(['version_id', 'origin', 'is_read'])
      .expression((eb) =>
        eb.selectFrom('versions').select((e) => ['versions.id', e.val('{}').as('origin'), e.lit(0).as('is_read')]),
      )
      .execute();
    await carryDatasets(db);
    await carryUses(db);
  },
};

async function carryDatasets(db: Kysely<AnyTables>): Promise<void> {
  for (let after = ''; ; ) {
    const rows = await db
      .selectFrom('dataset_versions')
      .select(['id', 'files', 'about'])
      .where('id', '>', after)
      .orderBy('id')
      .limit(PAGE)
      .execute();
    for (const row of rows) {
      after = String(row.id);
      const { parents = [] }: { parents?: string[] } = JSON.parse(String(row.about));
      const files: { sha256: string }[] = JSON.parse(String(row.files));
      for (const parent of new Set(parents))
        await db.insertInto('dataset_parents').values({ child_id: after, parent_id: parent }).execute();
      for (const sha256 of new Set(files.map((file) => file.sha256)))
        await db.insertInto('dataset_files').values({ sha256, dataset_version_id: after }).execute();
    }
    if (rows.length < PAGE) return;
  }
}

const ACTIONS = [
  'alias.move',
  'alias.delete',
  'endpoint.create',
  'endpoint.update',
  'endpoint.move',
  'endpoint.delete',
];

interface Details {
  readonly alias?: string;
  readonly revision: number;
  readonly to?: string | { readonly variants: readonly Held[] };
  readonly variants?: readonly Held[];
}
interface Held {
  readonly versionId: string;
  readonly weight: number;
}

/** The audit trail says who stood where, and since when; what was erased of it is lost here, too. */
async function carryUses(db: Kysely<AnyTables>): Promise<void> {
  for (let after = 0; ; ) {
    const rows = await db
      .selectFrom('audit')
      .select(['sequence', 'at', 'principal', 'action', 'resource', 'details'])
      .where('action', 'in', ACTIONS)
      .where('sequence', '>', after)
      .orderBy('sequence')
      .limit(PAGE)
      .execute();
    for (const row of rows) {
      after = Number(row.sequence);
      if (row.details === null) continue;
      const details: Details = JSON.parse(String(row.details));
      const id = String(row.resource).split('/')[1] ?? '';
      const isAlias = String(row.action).startsWith('alias.');
      await carryUse(db, {
        kind: isAlias ? 'alias' : 'endpoint',
        subject: isAlias ? `${id}/${details.alias}` : id,
        revision: details.revision,
        at: Number(row.at),
        principal: String(row.principal),
        held: heldBy(details),
      });
    }
    if (rows.length < PAGE) return;
  }
}

function heldBy({ to, variants }: Details): readonly Held[] {
  if (typeof to === 'string') return [{ versionId: to, weight: 0 }];
  return to?.variants ?? variants ?? [];
}

async function carryUse(
  db: Kysely<AnyTables>,
  now: {
    readonly kind: string;
    readonly subject: string;
    readonly revision: number;
    readonly at: number;
    readonly principal: string;
    readonly held: readonly Held[];
  },
): Promise<void> {
  const { kind, subject, revision, at, principal } = now;
  const open = await db
    .selectFrom('version_uses')
    .select(['version_id', 'weight'])
    .where('kind', '=', kind)
    .where('subject', '=', subject)
    .where('ended_at', 'is', null)
    .execute();
  const before = new Map(open.map((use) => [String(use.version_id), Number(use.weight)]));
  const after = new Map(now.held.map(({ versionId, weight }) => [versionId, weight]));
  for (const [versionId, weight] of before) {
    if (after.get(versionId) === weight) continue;
    await db
      .updateTable('version_uses')
      .set({ ended_at: at })
      .where('kind', '=', kind)
      .where('subject', '=', subject)
      .where('version_id', '=', versionId)
      .where('ended_at', 'is', null)
      .execute();
  }
  for (const [versionId, weight] of after) {
    if (before.get(versionId) === weight) continue;
    const row = { kind, subject, version_id: versionId, revision, weight, began_at: at, ended_at: null, principal };
    await db.insertInto('version_uses').values(row).execute();
  }
}
