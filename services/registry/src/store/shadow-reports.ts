/**
 * What the replicas of the inference service have counted of shadows. Each reports its own sums again and again; a later
 * report takes the place of the former, so that one that is sent twice, or late, counts once. Not governance: no entry of
 * the audit chain.
 */
import {
  AssayError,
  addShadowCounts,
  type ReportShadows,
  type Shadow,
  type ShadowComparison,
  type ShadowCounts,
} from '@assay/contracts';
import type { Store } from './change.ts';
import { requireEndpoint, shadowsOf } from './endpoint-rows.ts';
import { fromJson, type Queryable, type ShadowReportsTable } from './tables.ts';

/** @throws AssayError NOT_FOUND, also when the endpoint of that name is another one by now */
export function saveShadowReport(
  { database }: Store,
  name: string,
  report: ReportShadows,
  nowMs: number,
): Promise<void> {
  return database.transaction(async (trx) => {
    const endpoint = await requireEndpoint(trx, name);
    if (endpoint.id !== report.endpointId) {
      throw new AssayError('NOT_FOUND', `endpoint "${name}" was made anew: ${report.endpointId} is gone`);
    }
    for (const { versionId, primaryVersionId, counts } of report.comparisons) {
      const row: ShadowReportsTable = {
        endpoint_id: endpoint.id,
        version_id: versionId,
        primary_version_id: primaryVersionId,
        replica: report.replica,
        sequence: report.sequence,
        counted: JSON.stringify(counts),
        reported_at: nowMs,
      };
      const { sequence, counted, reported_at } = row;
      await trx
        .insertInto('shadow_reports')
        .values(row)
        .onConflict((conflict) =>
          conflict
            .columns(['endpoint_id', 'version_id', 'primary_version_id', 'replica'])
            .doUpdateSet({ sequence, counted, reported_at })
            .where('shadow_reports.sequence', '<', sequence),
        )
        .execute();
    }
  });
}

/**
 * Each pair that was compared, the one that was reported last first.
 * @throws AssayError NOT_FOUND
 */
export async function readShadowComparisons(db: Queryable, name: string): Promise<ShadowComparison[]> {
  const endpoint = await requireEndpoint(db, name);
  const rows = await db.selectFrom('shadow_reports').selectAll().where('endpoint_id', '=', endpoint.id).execute();
  const shadows = new Map(shadowsOf(endpoint).map((shadow) => [shadow.versionId, shadow]));
  const pairs = Map.groupBy(rows, (row) => `${row.version_id} ${row.primary_version_id}`);
  return Array.from(pairs.values(), (reports) => comparisonOf(reports, shadows)).toSorted(
    (a, b) => b.reportedAt - a.reportedAt,
  );
}

function comparisonOf(reports: readonly ShadowReportsTable[], shadows: ReadonlyMap<string, Shadow>): ShadowComparison {
  const [first] = reports;
  if (first === undefined) throw new AssayError('INTERNAL', 'a comparison without a report');
  const counts = reports.map((report) => fromJson<ShadowCounts>(report.counted)).reduce(addShadowCounts);
  const shadow = shadows.get(first.version_id);
  const finishAfterRows = shadow?.finishAfterRows;
  return {
    versionId: first.version_id,
    primaryVersionId: first.primary_version_id,
    isShadow: shadow !== undefined,
    ...(finishAfterRows === undefined ? {} : { finishAfterRows }),
    isFinished: finishAfterRows !== undefined && counts.rows >= finishAfterRows,
    replicas: reports.length,
    reportedAt: Math.max(...reports.map((report) => report.reported_at)),
    counts,
  };
}
