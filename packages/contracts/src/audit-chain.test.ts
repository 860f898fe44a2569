import { describe, expect, it } from 'vitest';
import { type ChainHead, entryHash, GENESIS_HASH, nextEntry, walkChain } from './audit-chain.ts';
import { canonicalJson } from './canonical-json.ts';
import type { AuditEntry, AuditVerification } from './registry.ts';

function chainOf(length: number): AuditEntry[] {
  const entries: AuditEntry[] = [];
  let head: ChainHead = { sequence: 0, hash: GENESIS_HASH };
  for (let i = 1; i <= length; i++) {
    const entry = nextEntry(head, {
      id: `aud_${i}`,
      at: 1_700_000_000_000 + i,
      principal: 'local',
      action: 'alias.move',
      resource: 'model/mdl_1',
      requestId: `req_${i}`,
      details: { to: i, from: i - 1 },
    });
    entries.push(entry);
    head = entry;
  }
  return entries;
}

function verify(entries: readonly AuditEntry[], head: ChainHead): AuditVerification {
  const walk = walkChain(head);
  for (const entry of entries) {
    const verdict = walk.next(entry);
    if (verdict !== undefined) return verdict;
  }
  return walk.end();
}

function at<T>(list: readonly T[], i: number): T {
  const item = list[i];
  if (item === undefined) throw new Error(`there is no item ${i}`);
  return item;
}

describe('the audit chain', () => {
  const entries = chainOf(5);
  const head = at(entries, 4);

  it('verifies when nothing was touched, and when it is empty', () => {
    expect(verify(entries, head)).toEqual({ valid: true, entries: 5, headHash: head.hash });
    expect(verify([], { sequence: 0, hash: GENESIS_HASH })).toMatchObject({ valid: true, entries: 0 });
  });

  it('verifies when details were erased', () => {
    const erased = entries.with(2, { ...at(entries, 2), details: null });
    expect(verify(erased, head)).toMatchObject({ valid: true, entries: 5 });
  });

  it.each(['id', 'principal', 'action', 'resource', 'requestId', 'detailsSha256', 'hash'] as const)(
    'names the entry whose %s was changed',
    (field) => {
      const changed = {
        ...at(entries, 2),
        [field]: field.endsWith('ash') || field === 'detailsSha256' ? 'f'.repeat(64) : 'x',
      };
      expect(verify(entries.with(2, changed), head)).toMatchObject({ valid: false, firstBadSequence: 3 });
    },
  );

  it('names the entry whose time or details were changed', () => {
    expect(verify(entries.with(1, { ...at(entries, 1), at: 0 }), head)).toMatchObject({ firstBadSequence: 2 });
    const details = { ...at(entries, 1).details, to: 99 };
    expect(verify(entries.with(1, { ...at(entries, 1), details }), head)).toMatchObject({
      firstBadSequence: 2,
      reason: expect.stringContaining('details'),
    });
  });

  it('names an entry that was rewritten together with its hash', () => {
    const forged = { ...at(entries, 2), principal: 'mallory' };
    const rehashed = { ...forged, hash: entryHash(forged) };
    expect(verify(entries.with(2, rehashed), head)).toMatchObject({ valid: false, firstBadSequence: 3 });
    const last = { ...head, principal: 'mallory' };
    expect(verify(entries.with(4, { ...last, hash: entryHash(last) }), head)).toMatchObject({ firstBadSequence: 5 });
  });

  it('names the first of what was removed, from the middle and from the end', () => {
    expect(verify(entries.toSpliced(2, 1), head)).toMatchObject({
      firstBadSequence: 3,
      reason: expect.stringContaining('removed'),
    });
    expect(verify(entries.slice(0, 3), head)).toMatchObject({
      firstBadSequence: 4,
      reason: expect.stringContaining('removed'),
    });
    expect(verify([], head)).toMatchObject({ valid: false, firstBadSequence: 1 });
  });

  it('names the first of two that changed places', () => {
    const [second, third] = [at(entries, 1), at(entries, 2)];
    const swapped = entries.with(1, { ...third, sequence: 2 }).with(2, { ...second, sequence: 3 });
    expect(verify(swapped, head)).toMatchObject({
      valid: false,
      firstBadSequence: 2,
      reason: expect.stringContaining('moved'),
    });
  });

  it('names an entry that was added past the head', () => {
    const added = nextEntry(head, { ...head, details: {} });
    expect(verify([...entries, added], head)).toMatchObject({
      firstBadSequence: 6,
      reason: expect.stringContaining('added'),
    });
  });

  it('gives two entries with equal details different digests, so that erased details cannot be guessed', () => {
    const fact = { ...at(entries, 0), details: { email: 'a@example.org' } };
    expect(nextEntry(head, fact).detailsSha256).not.toBe(nextEntry(head, fact).detailsSha256);
  });

  it('writes canonical JSON as RFC 8785 does', () => {
    const value = { peach: 'é"\u0007', b: [1e21, 0.002, -0, true, null], 10: 'ten', 1: { z: undefined, a: 1 } };
    expect(canonicalJson(value)).toBe('{"1":{"a":1},"10":"ten","b":[1e+21,0.002,0,true,null],"peach":"é\\"\\u0007"}');
    expect(() => canonicalJson({ x: Number.NaN })).toThrow(TypeError);
  });
});
