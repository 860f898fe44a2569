import { describe, expect, it } from 'vitest';
import { type ChainHead, GENESIS_HASH, nextEntry } from './audit-chain.ts';
import { AUDIT_EXPORT_FORMAT, verifyAuditExport } from './audit-export.ts';

/** The lines of an export of a chain of six entries. */
function exported(): string[] {
  let head: ChainHead = { sequence: 0, hash: GENESIS_HASH };
  const entries: string[] = [];
  for (let i = 1; i <= 6; i++) {
    const fact = { id: `aud_${i}`, at: i, principal: 'ada', action: 'alias.move', resource: 'model/mdl_1' };
    const entry = nextEntry(head, { ...fact, requestId: `req_${i}`, details: { i } });
    entries.push(JSON.stringify(entry));
    head = entry;
  }
  const { sequence, hash } = head;
  return [JSON.stringify({ format: AUDIT_EXPORT_FORMAT, head: { sequence, hash } }), ...entries];
}

async function* each(lines: readonly string[]): AsyncGenerator<string> {
  yield* lines;
}
const verify = (lines: readonly string[]) => verifyAuditExport(each(lines));

describe('an export of the audit chain', () => {
  it('verifies without the registry', async () => {
    expect(await verify(exported())).toMatchObject({ valid: true, entries: 6 });
  });

  // Line 0 is the head, line n is entry n.
  it.each<[string, number, (lines: string[]) => unknown]>([
    ['a changed entry', 3, (lines) => lines.splice(3, 1, String(lines[3]).replace('"ada"', '"eve"'))],
    ['changed details', 4, (lines) => lines.splice(4, 1, String(lines[4]).replace('"i":4', '"i":5'))],
    ['a removed entry', 2, (lines) => lines.splice(2, 1)],
    ['entries that changed places', 3, (lines) => lines.splice(3, 2, String(lines[4]), String(lines[3]))],
    ['an entry twice', 3, (lines) => lines.splice(3, 0, String(lines[2]))],
    ['a removed end', 5, (lines) => lines.splice(5)],
    ['a line that was cut', 6, (lines) => lines.splice(6, 1, String(lines[6]).slice(0, 50))],
    ['a missing head', 1, (lines) => lines.splice(0, 1)],
    ['nothing at all', 1, (lines) => lines.splice(0)],
  ])('shows %s', async (_what, firstBadSequence, tamper) => {
    const lines = exported();
    tamper(lines);
    expect(await verify(lines)).toMatchObject({ valid: false, firstBadSequence, reason: expect.any(String) });
  });
});
