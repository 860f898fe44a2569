/**
 * The audit chain as a file, NDJSON: the head as it was when the export began, then every entry up to it. Whoever has the
 * file can walk the chain without the registry; a file that was cut ends before its head.
 */
import Type from 'typebox';
import { type ChainHead, GENESIS_HASH, walkChain } from './audit-chain.ts';
import { AuditEntry, type AuditVerification, Sha256 } from './registry.ts';
import { matches } from './validation.ts';

export const AUDIT_EXPORT_FORMAT = 'assay.audit-export.v1';

export const AuditExportHeader = Type.Object(
  {
    format: Type.Literal(AUDIT_EXPORT_FORMAT),
    head: Type.Object(
      { sequence: Type.Integer({ minimum: 0 }), hash: Sha256 },
      { additionalProperties: false, description: 'The last entry; sequence 0 when there is none.' },
    ),
  },
  { $id: 'AuditExportHeader', additionalProperties: false },
);
export type AuditExportHeader = Type.Static<typeof AuditExportHeader>;

/**
 * Walks the lines of an export, one in memory at a time. The verdict is the one that the registry would give.
 * @param checkpoints what signed checkpoints say that the head was, all made before the export
 */
export async function verifyAuditExport(
  lines: AsyncIterable<string>,
  checkpoints: readonly ChainHead[] = [],
): Promise<AuditVerification> {
  let walk: ReturnType<typeof walkChain> | undefined;
  let line = 0;
  for await (const text of lines) {
    line += 1;
    const value = parsed(text);
    if (walk === undefined) {
      if (!matches(AuditExportHeader, value)) {
        return unreadable(line, `the first line is not the head of an export (${AUDIT_EXPORT_FORMAT})`);
      }
      walk = walkChain(value.head, checkpoints);
      continue;
    }
    if (!matches(AuditEntry, value)) return unreadable(line, `line ${line} is no audit entry`);
    const verdict = walk.next(value);
    if (verdict !== undefined) return verdict;
  }
  return walk?.end() ?? unreadable(1, 'the file is empty');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function unreadable(line: number, reason: string): AuditVerification {
  const entries = Math.max(0, line - 2); // the first line is the head
  return { valid: false, entries, headHash: GENESIS_HASH, firstBadSequence: entries + 1, reason };
}
