import type { Migration } from '@assay/database';

/** What MLflow's clients keep beside models and versions; and models and versions that can be tagged and deleted. */
export const mlflowMigration: Migration = {
  name: '010-mlflow',
  async up(db) {
    await db.schema.alterTable('models').addColumn('deleted_at', 'bigint').execute();
    await db.schema.alterTable('versions').addColumn('deleted_at', 'bigint').execute();
    await db.schema.alterTable('versions').addColumn('not_servable', 'text').execute();
    await db.schema
      .alterTable('versions')
      .addColumn('stage', 'text', (c) => c.notNull().defaultTo('None'))
      .execute();
    await db.schema
      .alterTable('versions')
      .addColumn('revision', 'bigint', (c) => c.notNull().defaultTo(1))
      .execute();
    await db.schema.alterTable('versions').addColumn('updated_at', 'bigint').execute();

    const tagsOf = async (table: string, owner: string): Promise<void> => {
      await db.schema
        .createTable(table)
        .addColumn(owner, 'text', (c) => c.notNull())
        .addColumn('key', 'text', (c) => c.notNull())
        .addColumn('value', 'text', (c) => c.notNull())
        .addPrimaryKeyConstraint(`${table}_by_owner`, [owner, 'key'])
        .execute();
      await db.schema.createIndex(`${table}_by_key`).on(table).columns(['key', owner]).execute();
    };
    await tagsOf('model_tags', 'model_id');
    await tagsOf('version_tags', 'version_id');
    await tagsOf('mlflow_experiment_tags', 'experiment_id');
    await tagsOf('mlflow_run_tags', 'run_id');
    await tagsOf('mlflow_params', 'run_id');
    await tagsOf('mlflow_logged_model_tags', 'model_id');
    await tagsOf('mlflow_logged_model_params', 'model_id');

    const versions = await db.selectFrom('versions').select(['id', 'tags']).execute();
    for (const { id, tags } of versions) {
      for (const [key, value] of Object.entries(JSON.parse(String(tags)))) {
        await db.insertInto('version_tags').values({ version_id: id, key, value }).execute();
      }
    }

    await db.schema
      .createTable('mlflow_versions')
      .addColumn('version_id', 'text', (c) => c.primaryKey())
      .addColumn('model_id', 'text', (c) => c.notNull())
      .addColumn('version', 'bigint', (c) => c.notNull())
      .addColumn('source', 'text', (c) => c.notNull())
      .addColumn('run_id', 'text')
      .addColumn('run_link', 'text', (c) => c.notNull())
      .addColumn('logged_model_id', 'text')
      .addColumn('description', 'text', (c) => c.notNull())
      .addColumn('tags', 'text', (c) => c.notNull())
      .addColumn('principal', 'text', (c) => c.notNull())
      .addColumn('key_id', 'text')
      .addColumn('request_id', 'text', (c) => c.notNull())
      .addColumn('traceparent', 'text', (c) => c.notNull())
      .addColumn('created_at', 'bigint', (c) => c.notNull())
      .addColumn('is_pending', 'bigint', (c) => c.notNull())
      .addUniqueConstraint('mlflow_versions_by_number', ['model_id', 'version'])
      .execute();
    await db.schema.createIndex('mlflow_versions_by_run').on('mlflow_versions').column('run_id').execute();
    await db.schema
      .createIndex('mlflow_versions_by_logged_model')
      .on('mlflow_versions')
      .column('logged_model_id')
      .execute();
    await db.schema
      .createIndex('mlflow_versions_by_state')
      .on('mlflow_versions')
      .columns(['is_pending', 'created_at'])
      .execute();

    await db.schema
      .createTable('mlflow_experiment_ids')
      .addColumn('singleton', 'integer', (c) => c.primaryKey())
      .addColumn('last', 'bigint', (c) => c.notNull())
      .execute();
    await db.insertInto('mlflow_experiment_ids').values({ singleton: 1, last: 0 }).execute();
    await db.schema
      .createTable('mlflow_experiments')
      .addColumn('id', 'text', (c) => c.primaryKey())
      .addColumn('name', 'text', (c) => c.notNull().unique())
      .addColumn('lifecycle', 'text', (c) => c.notNull())
      .addColumn('artifact_location', 'text', (c) => c.notNull())
      .addColumn('created_at', 'bigint', (c) => c.notNull())
      .addColumn('updated_at', 'bigint', (c) => c.notNull())
      .execute();
    await db.schema
      .createIndex('mlflow_experiments_by_time')
      .on('mlflow_experiments')
      .columns(['created_at', 'id'])
      .execute();
    const now = Date.now();
    await db
      .insertInto('mlflow_experiments')
      .values({
        id: '0',
        name: 'Default',
        lifecycle: 'active',
        artifact_location: 'mlflow-artifacts:/0',
        created_at: now,
        updated_at: now,
      })
      .execute();

    await db.schema
      .createTable('mlflow_runs')
      .addColumn('id', 'text', (c) => c.primaryKey())
      .addColumn('experiment_id', 'text', (c) => c.notNull().references('mlflow_experiments.id'))
      .addColumn('name', 'text', (c) => c.notNull())
      .addColumn('user_id', 'text', (c) => c.notNull())
      .addColumn('status', 'text', (c) => c.notNull())
      .addColumn('lifecycle', 'text', (c) => c.notNull())
      .addColumn('start_time', 'bigint', (c) => c.notNull())
      .addColumn('end_time', 'bigint')
      .addColumn('artifact_uri', 'text', (c) => c.notNull())
      .addColumn('created_by', 'text', (c) => c.notNull())
      .execute();
    await db.schema
      .createIndex('mlflow_runs_by_experiment')
      .on('mlflow_runs')
      .columns(['experiment_id', 'lifecycle', 'start_time', 'id'])
      .execute();

    // One row a point. The key holds the whole point, so that a batch that is sent twice is stored once.
    await db.schema
      .createTable('mlflow_metrics')
      .addColumn('run_id', 'text', (c) => c.notNull())
      .addColumn('key', 'text', (c) => c.notNull())
      .addColumn('step', 'bigint', (c) => c.notNull())
      .addColumn('timestamp', 'bigint', (c) => c.notNull())
      .addColumn('value', 'double precision', (c) => c.notNull())
      .addColumn('special', 'text', (c) => c.notNull())
      .addPrimaryKeyConstraint('mlflow_metrics_by_point', ['run_id', 'key', 'step', 'timestamp', 'value', 'special'])
      .execute();
    await db.schema
      .createTable('mlflow_latest_metrics')
      .addColumn('run_id', 'text', (c) => c.notNull())
      .addColumn('key', 'text', (c) => c.notNull())
      .addColumn('step', 'bigint', (c) => c.notNull())
      .addColumn('timestamp', 'bigint', (c) => c.notNull())
      .addColumn('value', 'double precision', (c) => c.notNull())
      .addColumn('special', 'text', (c) => c.notNull())
      .addPrimaryKeyConstraint('mlflow_latest_metrics_by_run', ['run_id', 'key'])
      .execute();

    await db.schema
      .createTable('mlflow_run_datasets')
      .addColumn('run_id', 'text', (c) => c.notNull())
      .addColumn('name', 'text', (c) => c.notNull())
      .addColumn('digest', 'text', (c) => c.notNull())
      .addColumn('source_type', 'text', (c) => c.notNull())
      .addColumn('source', 'text', (c) => c.notNull())
      .addColumn('schema', 'text')
      .addColumn('profile', 'text')
      .addColumn('tags', 'text', (c) => c.notNull())
      .addPrimaryKeyConstraint('mlflow_run_datasets_by_run', ['run_id', 'name', 'digest'])
      .execute();
    await db.schema
      .createTable('mlflow_run_models')
      .addColumn('run_id', 'text', (c) => c.notNull())
      .addColumn('direction', 'text', (c) => c.notNull())
      .addColumn('model_id', 'text', (c) => c.notNull())
      .addColumn('step', 'bigint', (c) => c.notNull())
      .addPrimaryKeyConstraint('mlflow_run_models_by_run', ['run_id', 'direction', 'model_id'])
      .execute();

    await db.schema
      .createTable('mlflow_logged_models')
      .addColumn('id', 'text', (c) => c.primaryKey())
      .addColumn('experiment_id', 'text', (c) => c.notNull().references('mlflow_experiments.id'))
      .addColumn('name', 'text', (c) => c.notNull())
      .addColumn('artifact_uri', 'text', (c) => c.notNull())
      .addColumn('status', 'text', (c) => c.notNull())
      .addColumn('model_type', 'text', (c) => c.notNull())
      .addColumn('source_run_id', 'text')
      .addColumn('created_at', 'bigint', (c) => c.notNull())
      .addColumn('updated_at', 'bigint', (c) => c.notNull())
      .addColumn('deleted_at', 'bigint')
      .execute();
    await db.schema
      .createIndex('mlflow_logged_models_by_experiment')
      .on('mlflow_logged_models')
      .columns(['experiment_id', 'created_at', 'id'])
      .execute();
    await db.schema
      .createTable('mlflow_logged_model_metrics')
      .addColumn('model_id', 'text', (c) => c.notNull())
      .addColumn('run_id', 'text', (c) => c.notNull())
      .addColumn('key', 'text', (c) => c.notNull())
      .addColumn('dataset_name', 'text', (c) => c.notNull())
      .addColumn('dataset_digest', 'text', (c) => c.notNull())
      .addColumn('step', 'bigint', (c) => c.notNull())
      .addColumn('timestamp', 'bigint', (c) => c.notNull())
      .addColumn('value', 'double precision', (c) => c.notNull())
      .addColumn('special', 'text', (c) => c.notNull())
      .addPrimaryKeyConstraint('mlflow_logged_model_metrics_by_key', [
        'model_id',
        'key',
        'run_id',
        'dataset_name',
        'dataset_digest',
      ])
      .execute();

    // Folders have rows too, so that one level is listed without reading what is below it.
    await db.schema
      .createTable('mlflow_artifacts')
      .addColumn('path', 'text', (c) => c.primaryKey())
      .addColumn('parent', 'text', (c) => c.notNull())
      .addColumn('blob_key', 'text')
      .addColumn('sha256', 'text')
      .addColumn('size_bytes', 'bigint', (c) => c.notNull())
      .addColumn('created_at', 'bigint', (c) => c.notNull())
      .execute();
    await db.schema
      .createIndex('mlflow_artifacts_by_parent')
      .on('mlflow_artifacts')
      .columns(['parent', 'path'])
      .execute();
    await db.schema.createIndex('mlflow_artifacts_by_blob').on('mlflow_artifacts').column('blob_key').execute();
  },
};
