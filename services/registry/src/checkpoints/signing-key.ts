/** The keys of checkpoints: one to sign with, and all that a signature may be of. None of them is in the database. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { AssayError, type CheckpointKeys, checkpointKeyId, checkpointKeysIn } from '@assay/contracts';

export interface SigningKeys {
  readonly signing: KeyObject;
  readonly trusted: CheckpointKeys;
}

/**
 * @param keyFile a private Ed25519 key, PEM (PKCS #8)
 * @param formerKeysFile public keys that signed before, PEM blocks one after another
 * @throws AssayError FAILED_PRECONDITION for a file that cannot be read or holds something else
 */
export async function readSigningKeys(keyFile: string, formerKeysFile: string | undefined): Promise<SigningKeys> {
  const signing = await readPem(keyFile, (pem) => checked(createPrivateKey(pem)));
  const former = formerKeysFile === undefined ? [] : await readPem(formerKeysFile, checkpointKeysIn);
  const own = createPublicKey(signing);
  return { signing, trusted: new Map([[checkpointKeyId(own), own], ...former]) };
}

/** Makes the key where there is none yet; a key that is there stays. */
export async function makeSigningKey(keyFile: string): Promise<void> {
  const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' });
  await writeFile(keyFile, pem, { flag: 'wx', mode: 0o600, flush: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
}

function checked(key: KeyObject): KeyObject {
  if (key.asymmetricKeyType !== 'ed25519') throw new Error(`the key is ${key.asymmetricKeyType}`);
  return key;
}

async function readPem<Keys>(file: string, parse: (pem: string) => Keys): Promise<Keys> {
  try {
    return parse(await readFile(file, 'utf8'));
  } catch (cause) {
    throw notAKey(file, cause);
  }
}

function notAKey(file: string, cause: unknown): AssayError {
  return new AssayError(
    'FAILED_PRECONDITION',
    `${file} is no Ed25519 key that can be read; make one with: openssl genpkey -algorithm ed25519 -out ${file}`,
    { cause },
  );
}
