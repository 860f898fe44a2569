/** The audit chain in its tables: appended by one sequencer, read by pages, walked in constant memory. */
import {
  AssayError,
  AUDIT_EXPORT_FORMAT,
  type AuditEntry,
  type AuditExportHeader,
  type AuditFact,
  type AuditVerification,
  type ChainHead,
  GENESIS_HASH,
  nextEntry,
  type Page,
  walkChain,
} from '@assay/contracts';
import { type AuditTable, fromJson, type Queryable } from './tables.ts';

/** Entries read at once while the chain is walked. */
const WALK_PAGE = 500;

/**
 * Appends the facts in their order. The head's row is the sequencer: it is written in the same transaction, so that two
 * transactions cannot both follow one entry.
 */
export async function appendAudit(trx: Queryable, facts: readonly AuditFact[]): Promise<void> {
  if (facts.length === 0) return;
  let head: ChainHead = await trx.selectFrom('audit_head').select(['sequence', 'hash']).executeTakeFirstOrThrow();
  for (const fact of facts) {
    const entry = nextEntry(head, fact);
    await trx.insertInto('audit').values(toRow(entry)).execute();
    head = entry;
  }
  await trx.updateTable('audit_head').set({ sequence: head.sequence, hash: head.hash }).execute();
}

export interface AuditFilter {
  readonly principal?: string;
  readonly action?: string;
  /** `model/mdl_…` */
  readonly resource?: string;
  /** `model`: what stands before the slash of a resource. */
  readonly resourceType?: string;
  /** Not before this time, in milliseconds since 1970. */
  readonly from?: number;
  /** Not after this time. */
  readonly to?: number;
  /** No higher sequence than this. */
  readonly until?: number;
}

/** Entries after a sequence, ascending. */
export async function listAudit(
  db: Queryable,
  page: { readonly after: number; readonly limit: number } & AuditFilter,
): Promise<Page<AuditEntry>> {
  let query = db.selectFrom('audit').selectAll().where('sequence', '>', page.after);
  if (page.until !== undefined) query = query.where('sequence', '<=', page.until);
  if (page.principal !== undefined) query = query.where('principal', '=', page.principal);
  if (page.action !== undefined) query = query.where('action', '=', page.action);
  if (page.resource !== undefined) query = query.where('resource', '=', page.resource);
  if (page.resourceType !== undefined) {
    // A range of the index by resource: `0` is the character after the slash.
    query = query.where('resource', '>=', `${page.resourceType}/`).where('resource', '<', `${page.resourceType}0`);
  }
  if (page.from !== undefined) query = query.where('at', '>=', page.from);
  if (page.to !== undefined) query = query.where('at', '<=', page.to);
  const rows = await query
    .orderBy('sequence')
    .limit(page.limit + 1)
    .execute();
  const items = rows.slice(0, page.limit).map(toEntry);
  const last = items.at(-1);
  return rows.length > page.limit && last !== undefined ? { items, next: String(last.sequence) } : { items };
}

/** Walks the whole chain up to the head that it had at the start; entries appended meanwhile are for the next walk. */
export async function verifyAudit(
  db: Queryable,
  signal: AbortSignal,
  checkpoints: readonly ChainHead[] = [],
): Promise<AuditVerification> {
  // One statement, so that head and last entry are of one moment.
  const start = await db
    .selectFrom('audit_head')
    .select((eb) => [
      'sequence',
      'hash',
      eb
        .selectFrom('audit')
        .select((e) => e.fn.max('sequence').as('last'))
        .as('last'),
    ])
    .executeTakeFirst();
  if (start === undefined) {
    return { valid: false, entries: 0, headHash: GENESIS_HASH, firstBadSequence: 1, reason: 'the head was removed' };
  }
  const head: ChainHead = start;
  const lastSequence = Math.max(Number(start.last ?? 0), head.sequence);
  const walk = walkChain(head, checkpoints);
  for await (const entry of entriesUpTo(db, lastSequence, signal)) {
    const verdict = walk.next(entry);
    if (verdict !== undefined) return verdict;
  }
  return walk.end();
}

/**
 * The whole chain as lines of an export: the head as it is now, then every entry up to it.
 * @throws AssayError FAILED_PRECONDITION where the head was removed from the database
 */
export async function exportAudit(db: Queryable, signal: AbortSignal): Promise<AsyncIterable<string>> {
  const head = await readAuditHead(db);
  if (head === undefined) {
    throw new AssayError(
      'FAILED_PRECONDITION',
      'the head of the audit chain was removed; `assay audit verify` says more',
    );
  }
  return linesOf({ format: AUDIT_EXPORT_FORMAT, head }, entriesUpTo(db, head.sequence, signal));
}

async function* linesOf(header: AuditExportHeader, entries: AsyncIterable<AuditEntry>): AsyncGenerator<string> {
  yield `${JSON.stringify(header)}\n`;
  for await (const entry of entries) yield `${JSON.stringify(entry)}\n`;
}

/** Where the chain ends; undefined where the head was removed. */
export function readAuditHead(db: Queryable): Promise<ChainHead | undefined> {
  return db.selectFrom('audit_head').select(['sequence', 'hash']).executeTakeFirst();
}

/** Entries by ascending sequence, a page of them in memory. */
async function* entriesUpTo(db: Queryable, last: number, signal: AbortSignal): AsyncGenerator<AuditEntry> {
  let after = Number.MIN_SAFE_INTEGER; // an entry that was put before the first one is found too
  for (;;) {
    signal.throwIfAborted();
    const rows = await db
      .selectFrom('audit')
      .selectAll()
      .where('sequence', '>', after)
      .where('sequence', '<=', last)
      .orderBy('sequence')
      .limit(WALK_PAGE)
      .execute();
    for (const row of rows) {
      yield toEntry(row);
      after = row.sequence;
    }
    if (rows.length < WALK_PAGE) return;
  }
}

function toRow(entry: AuditEntry): AuditTable {
  return {
    sequence: entry.sequence,
    id: entry.id,
    at: entry.at,
    principal: entry.principal,
    action: entry.action,
    resource: entry.resource,
    request_id: entry.requestId,
    details_sha256: entry.detailsSha256,
    previous_hash: entry.previousHash,
    hash: entry.hash,
    details: entry.details === null ? null : JSON.stringify(entry.details),
  };
}

function toEntry(row: AuditTable): AuditEntry {
  return {
    sequence: row.sequence,
    id: row.id,
    at: row.at,
    principal: row.principal,
    action: row.action,
    resource: row.resource,
    requestId: row.request_id,
    detailsSha256: row.details_sha256,
    previousHash: row.previous_hash,
    hash: row.hash,
    details: readDetails(row.details),
  };
}

/** Details that are no JSON object any more were tampered with; the walk must say so, not fail. */
function readDetails(text: string | null): AuditEntry['details'] {
  if (text === null) return null;
  try {
    const details = fromJson<unknown>(text);
    if (typeof details === 'object' && details !== null && !Array.isArray(details)) {
      return details as Record<string, unknown>; // checked on the line before
    }
  } catch {
    // Falls through: the text itself stands for the details, and gives another digest.
  }
  return { unreadable: text };
}
