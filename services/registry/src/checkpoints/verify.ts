/** The chain in the database against the checkpoints outside it. */
import { type AuditCheckpoint, type AuditVerification, GENESIS_HASH, isSigned } from '@assay/contracts';
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
    if (!isSigned(checkpoint, checkpointKeys)) {
      const { sequence, keyId } = checkpoint;
      const reason = `the checkpoint at entry ${sequence} is not signed by a key that this registry trusts (${keyId}): it was forged or changed, or the key was replaced and is missing from auditFormerKeysFile`;
      return { valid: false, entries: 0, headHash: GENESIS_HASH, firstBadSequence: sequence, reason };
    }
    checkpoints.push(checkpoint);
  }
  return { ...(await verifyAudit(store.database.db, signal, checkpoints)), checkpoints: checkpoints.length };
}
