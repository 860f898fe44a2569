/**
 * Signed checkpoints of the audit chain: what its head was at a time, signed by Ed25519 with a key that is not in the
 * database, and kept outside it. Who removes the end of the chain, or writes all of it anew, head included, cannot make
 * the chain agree with them.
 *
 *     signature = Ed25519(canonicalJson(["assay.audit-checkpoint.v1", sequence, hash, at, keyId])), base64url
 *     keyId     = the first 16 hex digits of sha256(public key as SPKI DER)
 */
import { createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import Type from 'typebox';
import { type ChainHead, GENESIS_HASH } from './audit-chain.ts';
import { canonicalJson } from './canonical-json.ts';
import { type AuditVerification, EpochMs, Sha256 } from './registry.ts';

const strict = { additionalProperties: false } as const;
const KeyId = Type.String({ pattern: '^[0-9a-f]{16}$', description: 'Of the key that signed.' });

export const AuditCheckpoint = Type.Object(
  {
    sequence: Type.Integer({ minimum: 1, description: 'Of the last entry at that time.' }),
    hash: Sha256,
    at: EpochMs,
    keyId: KeyId,
    signature: Type.String({ pattern: '^[A-Za-z0-9_-]{86}$', description: 'Ed25519, base64url.' }),
  },
  { $id: 'AuditCheckpoint', ...strict },
);
export type AuditCheckpoint = Type.Static<typeof AuditCheckpoint>;

export const AuditCheckpoints = Type.Object(
  {
    items: Type.Array(AuditCheckpoint),
    next: Type.Optional(Type.String({ description: '`after` of the next page; absent on the last one.' })),
    keys: Type.Array(Type.Object({ keyId: KeyId, publicKey: Type.String({ description: 'PEM (SPKI).' }) }, strict), {
      description: 'The public keys that this registry trusts.',
    }),
  },
  { $id: 'AuditCheckpoints', ...strict },
);
export type AuditCheckpoints = Type.Static<typeof AuditCheckpoints>;

/** Public keys by id. */
export type CheckpointKeys = ReadonlyMap<string, KeyObject>;

export function checkpointKeyId(publicKey: KeyObject): string {
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex')
    .slice(0, 16);
}

export function signCheckpoint(head: ChainHead, at: number, privateKey: KeyObject): AuditCheckpoint {
  const unsigned = {
    sequence: head.sequence,
    hash: head.hash,
    at,
    keyId: checkpointKeyId(createPublicKey(privateKey)),
  };
  return { ...unsigned, signature: sign(null, signedBytes(unsigned), privateKey).toString('base64url') };
}

/**
 * The keys of a file of public keys, PEM blocks one after another.
 * @throws Error where there is none, or one is not an Ed25519 key
 */
export function checkpointKeysIn(pem: string): CheckpointKeys {
  const blocks = pem.match(/-----BEGIN PUBLIC KEY-----[^-]+-----END PUBLIC KEY-----/g);
  if (blocks === null) throw new Error('there is no public key');
  return new Map(
    blocks.map((block) => {
      const key = createPublicKey(block);
      if (key.asymmetricKeyType !== 'ed25519') throw new Error(`the key is ${key.asymmetricKeyType}`);
      return [checkpointKeyId(key), key];
    }),
  );
}

/** Whether one of the keys has signed it. */
export function isSigned(checkpoint: AuditCheckpoint, keys: CheckpointKeys): boolean {
  const key = keys.get(checkpoint.keyId);
  return (
    key !== undefined && verify(null, signedBytes(checkpoint), key, Buffer.from(checkpoint.signature, 'base64url'))
  );
}

/** The verdict on a chain beside which there is a checkpoint that `isSigned` by none of the keys. */
export function unsignedCheckpoint({ sequence, keyId }: AuditCheckpoint, missingFrom: string): AuditVerification {
  const reason = `the checkpoint at entry ${sequence} is not signed by a key that is trusted (${keyId}): it was forged or changed, or the key was replaced and is missing from ${missingFrom}`;
  return { valid: false, entries: 0, headHash: GENESIS_HASH, firstBadSequence: sequence, reason };
}

function signedBytes({ sequence, hash, at, keyId }: Omit<AuditCheckpoint, 'signature'>): Buffer {
  return Buffer.from(canonicalJson(['assay.audit-checkpoint.v1', sequence, hash, at, keyId]), 'utf8');
}
