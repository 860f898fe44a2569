import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { AuditCheckpoint, checkpointKeyId, isSigned, signCheckpoint } from './audit-checkpoint.ts';
import { matches } from './validation.ts';

const [one, other] = [generateKeyPairSync('ed25519'), generateKeyPairSync('ed25519')];
const keys = new Map([[checkpointKeyId(one.publicKey), one.publicKey]]);
const checkpoint = signCheckpoint({ sequence: 7, hash: 'a'.repeat(64) }, 1_700_000_000_000, one.privateKey);

describe('a checkpoint', () => {
  it('is what its schema says, and signed by its key', () => {
    expect(matches(AuditCheckpoint, checkpoint)).toBe(true);
    expect(isSigned(checkpoint, keys)).toBe(true);
  });

  it.each([
    ['another sequence', { sequence: 6 }],
    ['another hash', { hash: 'b'.repeat(64) }],
    ['another time', { at: 1 }],
    ['another signature', { signature: 'A'.repeat(86) }],
    ['another key', { keyId: checkpointKeyId(other.publicKey) }],
  ])('with %s is not', (_what, change) => {
    const both = new Map([...keys, [checkpointKeyId(other.publicKey), other.publicKey]]);
    expect(isSigned({ ...checkpoint, ...change }, both)).toBe(false);
  });

  it('of a key that nobody trusts is not', () => {
    expect(isSigned(signCheckpoint({ sequence: 7, hash: 'a'.repeat(64) }, 1, other.privateKey), keys)).toBe(false);
  });
});
