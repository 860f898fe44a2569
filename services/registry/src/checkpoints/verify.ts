/** The chain in the database against the checkpoints outside it. */
import { type AuditCheckpoint, type AuditVerification, isSigned, unsignedCheckpoint } from '@assay/contracts';
import type { Parts } from '../http/parts.ts';
import { verifyAudit } from '../store/audit.ts';
import { checkpointsAfter } from './checkpoint-blobs.ts';

/** Checkpoints are read before the head is: none of them is ahead of it, unless the end was removed. */
export async function verifyWithCheckpoints(
  { store, blobs, checkpointKeys }: Pick<Parts, 'store' | 'blobs' | 'checkpointKeys'>,
  signal: AbortSignal,
): Promise<AuditVerification> {
  if (checkpointKeys === undefined) return verifyAudit(store.database.db, signal);
  const checkpoints: AuditCheckpoint[] = [];
  for await (const checkpoint of checkpointsAfter(blobs, 0, signal)) {
    if (!isSigned(checkpoint, checkpointKeys)) return unsignedCheckpoint(checkpoint, 'auditFormerKeysFile');
    checkpoints.push(checkpoint);
  }
  return { ...(await verifyAudit(store.database.db, signal, checkpoints)), checkpoints: checkpoints.length };
}
