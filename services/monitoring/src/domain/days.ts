/** Where a prediction is kept, and how long: files are of one UTC day and one endpoint. */

const DAY_MS = 86_400_000;

/** `2026-01-31`, in UTC. */
export function dayOf(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 10);
}

/** The oldest day that is still kept. */
export function oldestDay(nowMs: number, retentionDays: number): string {
  return dayOf(nowMs - retentionDays * DAY_MS);
}

/** `date=2026-01-31/endpoint=ept_…/FILE.parquet`: partitions as DuckDB, Spark and Arrow read them. */
export function fileKey(day: string, endpointId: string, fileId: string): string {
  return `date=${day}/endpoint=${endpointId}/${fileId}.parquet`;
}
