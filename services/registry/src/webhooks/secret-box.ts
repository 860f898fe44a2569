/**
 * Secrets that must be read again, to sign with, are in the database only sealed (AES-256-GCM). The key is in a file outside
 * of it: a line each, base64 of 32 bytes; the first seals, all of them open.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { AssayError } from '@assay/contracts';

export interface SecretBox {
  /** @param owner the id of what the secret belongs to: sealed for one, it opens for no other */
  seal(secret: string, owner: string): string;
  /** @throws AssayError FAILED_PRECONDITION where no key here sealed it */
  open(sealed: string, owner: string): string;
}

const CIPHER = 'aes-256-gcm';
const KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG_BYTES = 16;

/** Makes the key file where there is none yet; one that is there stays. */
export async function makeBoxKey(file: string): Promise<void> {
  const text = `${randomBytes(KEY_BYTES).toString('base64')}\n`;
  await writeFile(file, text, { flag: 'wx', mode: 0o600, flush: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
}

/** @throws AssayError FAILED_PRECONDITION for a file that cannot be read or holds something else */
export async function openSecretBox(file: string): Promise<SecretBox> {
  let keys: Buffer[];
  try {
    const lines = (await readFile(file, 'utf8')).split('\n').map((line) => line.trim());
    keys = lines.filter((line) => line !== '').map((line) => Buffer.from(line, 'base64'));
  } catch (cause) {
    throw noKey(file, cause);
  }
  const [first] = keys;
  if (first === undefined || keys.some((key) => key.length !== KEY_BYTES)) throw noKey(file);
  const byId = new Map(keys.map((key) => [keyId(key), key]));
  return {
    seal(secret, owner) {
      const iv = randomBytes(IV_BYTES);
      const cipher = createCipheriv(CIPHER, first, iv).setAAD(Buffer.from(owner));
      const sealed = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()]);
      return `${keyId(first)}.${Buffer.concat([iv, sealed, cipher.getAuthTag()]).toString('base64url')}`;
    },
    open(text, owner) {
      const [id = '', content = ''] = text.split('.');
      const key = byId.get(id);
      if (key === undefined)
        throw new AssayError('FAILED_PRECONDITION', `${file} has not the key that sealed this secret`);
      const bytes = Buffer.from(content, 'base64url');
      const decipher = createDecipheriv(CIPHER, key, bytes.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES })
        .setAAD(Buffer.from(owner))
        .setAuthTag(bytes.subarray(-TAG_BYTES));
      const opened = decipher.update(bytes.subarray(IV_BYTES, -TAG_BYTES));
      try {
        return Buffer.concat([opened, decipher.final()]).toString('utf8');
      } catch (cause) {
        throw new AssayError('FAILED_PRECONDITION', 'the sealed secret was changed, or belongs to another', { cause });
      }
    },
  };
}

function keyId(key: Buffer): string {
  return createHash('sha256').update(key).digest('hex').slice(0, 8);
}

function noKey(file: string, cause?: unknown): AssayError {
  return new AssayError(
    'FAILED_PRECONDITION',
    `${file} is no key file that can be read; make one with: openssl rand -base64 32 > ${file}`,
    { cause },
  );
}
