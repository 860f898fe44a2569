/**
 * The ids of a batch's predictions. They repeat on purpose: the same job, file and row always give the same id, so that a
 * job that is begun again gives what it gave before; and never otherwise, since job ids do not repeat.
 *
 *     id  = "prd_" key "_" row
 *     key = the first 20 hex digits of SHA-256(job id "\n" SHA-256 of the file, 64 hex digits "\n" occurrence)
 *     row = of the row in its file, from 1 on, the header and blank lines not counted
 *
 * `occurrence` is 0, and counts up for files of one job with the same content.
 */
import { createHash } from 'node:crypto';

/** What the ids of each file begin with: the row follows. */
export function idPrefixes(jobId: string, fileSha256s: readonly string[]): string[] {
  const seen = new Map<string, number>();
  return fileSha256s.map((sha256) => {
    const occurrence = seen.get(sha256) ?? 0;
    seen.set(sha256, occurrence + 1);
    const key = createHash('sha256').update(`${jobId}\n${sha256}\n${occurrence}`).digest('hex').slice(0, 20);
    return `prd_${key}_`;
  });
}
