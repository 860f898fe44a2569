/**
 * The audit chain: every governance write is one entry, and each entry names the hash of the one before it. Whoever
 * changes, removes, adds or moves an entry later must rewrite all that follow, and the head with them.
 *
 *     detailsSha256 = sha256(canonicalJson(details))
 *     hash          = sha256(canonicalJson(["assay.audit.v1", sequence, id, at, principal, action, resource,
 *                                           requestId, detailsSha256, previousHash]))
 *
 * `previousHash` of the first entry is 64 zeros. The chain holds the digest of the details, never the details: personal
 * data in them can be erased (set to null) without breaking it. Details carry a random `nonce`, erased with them, so
 * that the digest that stays gives nothing away to someone who guesses what they said.
 */
import { createHash, randomBytes } from 'node:crypto';
import { canonicalJson } from './canonical-json.ts';
import type { AuditEntry, AuditVerification } from './registry.ts';

export const GENESIS_HASH = '0'.repeat(64);
const FORMAT = 'assay.audit.v1';

/** The last entry of the chain; sequence 0 and the genesis hash when there is none. */
export interface ChainHead {
  readonly sequence: number;
  readonly hash: string;
}

/** What happened, before it has its place in the chain. */
export interface AuditFact {
  readonly id: string;
  readonly at: number;
  readonly principal: string;
  readonly action: string;
  readonly resource: string;
  readonly requestId: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** The entry that follows `head` and says `fact`. */
export function nextEntry(head: ChainHead, fact: AuditFact): AuditEntry {
  const details = { ...fact.details, nonce: randomBytes(16).toString('base64url') };
  const unhashed = {
    sequence: head.sequence + 1,
    id: fact.id,
    at: fact.at,
    principal: fact.principal,
    action: fact.action,
    resource: fact.resource,
    requestId: fact.requestId,
    detailsSha256: sha256(canonicalJson(details)),
    previousHash: head.hash,
  };
  return { ...unhashed, hash: entryHash(unhashed), details };
}

/** The hash of an entry, over every other field in the documented order. */
export function entryHash(entry: Omit<AuditEntry, 'hash' | 'details'>): string {
  const { sequence, id, at, principal, action, resource, requestId, detailsSha256, previousHash } = entry;
  return sha256(
    canonicalJson([FORMAT, sequence, id, at, principal, action, resource, requestId, detailsSha256, previousHash]),
  );
}

/** A walk along the chain: give it the entries by ascending sequence, then `end`. It holds one entry's hash. */
export interface ChainWalk {
  /** Gives the verdict at the first bad entry, else undefined. */
  next(entry: AuditEntry): AuditVerification | undefined;
  /** The verdict when all entries were good: do they end where the head says? */
  end(): AuditVerification;
}

/**
 * @param head the head as it was stored when the walk began
 * @param checkpoints what signed checkpoints, all older than `head`, say that it was
 */
export function walkChain(head: ChainHead, checkpoints: readonly ChainHead[] = []): ChainWalk {
  const signed = Map.groupBy(checkpoints, (checkpoint) => checkpoint.sequence);
  const lastSigned = checkpoints.reduce((last, checkpoint) => Math.max(last, checkpoint.sequence), 0);
  let entries = 0;
  let sequence = 0;
  let hash = GENESIS_HASH;

  const bad = (firstBadSequence: number, reason: string): AuditVerification => ({
    valid: false,
    entries,
    headHash: hash,
    firstBadSequence,
    reason,
  });

  return {
    next(entry) {
      const expected = sequence + 1;
      entries += 1;
      if (entry.sequence > head.sequence) {
        return bad(entry.sequence, `entry ${entry.sequence} was added: the chain ends at ${head.sequence}`);
      }
      if (entry.sequence !== expected) {
        return bad(expected, `entry ${expected} was removed: ${entry.sequence} comes after ${sequence}`);
      }
      if (entry.details !== null && sha256(canonicalJson(entry.details)) !== entry.detailsSha256) {
        return bad(expected, `the details of entry ${expected} were changed: their digest is another`);
      }
      const intact = entryHash(entry) === entry.hash;
      const linked = entry.previousHash === hash;
      if (!intact && !linked) {
        return bad(
          expected,
          `entry ${expected} was moved here or added: it fits neither its hash nor the entry before`,
        );
      }
      if (!intact) return bad(expected, `entry ${expected} was changed: its fields give another hash`);
      if (!linked) {
        return sequence === 0
          ? bad(1, 'entry 1 was replaced: it is not the beginning of a chain')
          : bad(sequence, `entry ${sequence} was replaced: entry ${expected} follows one with another hash`);
      }
      if (signed.get(expected)?.some((checkpoint) => checkpoint.hash !== entry.hash)) {
        return bad(expected, `entry ${expected} or one before it was replaced: a signed checkpoint has another hash`);
      }
      sequence = expected;
      hash = entry.hash;
      return undefined;
    },
    end() {
      if (sequence < head.sequence) {
        return bad(sequence + 1, `entries ${sequence + 1} to ${head.sequence} were removed from the end`);
      }
      if (sequence < lastSigned) {
        const missing = `entries ${sequence + 1} to ${lastSigned} were removed from the end, and the head moved back`;
        return bad(sequence + 1, `${missing}: a signed checkpoint names entry ${lastSigned}`);
      }
      if (hash !== head.hash) return bad(sequence, `entry ${sequence} was replaced: the head has another hash`);
      return { valid: true, entries, headHash: hash };
    },
  };
}

function sha256(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex');
}
