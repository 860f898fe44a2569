/**
 * API keys as texts: `assay_ID_SECRET`. The id finds the key and may be seen; the secret is 256 random bits as 43 letters
 * and digits. Only its SHA-256 is kept: there is no dictionary of 256-bit secrets that a slow hash would have to protect.
 */
import { hash, randomBytes } from 'node:crypto';
import { KEY_TEXT_PATTERN } from '@assay/contracts';

export interface KeyText {
  readonly id: string;
  readonly secret: string;
}

const KEY_TEXT = new RegExp(KEY_TEXT_PATTERN);
/** `assay_`, an id of at most 63, `_`, the secret; whatever is longer is not looked at. */
const MAX_KEY_TEXT_LENGTH = 6 + 63 + 1 + 43;
const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const SECRET_LENGTH = 43;

/** The parts of a key's text; undefined for what is no key. */
export function parseKeyText(text: string): KeyText | undefined {
  if (text.length > MAX_KEY_TEXT_LENGTH) return undefined;
  const [, id, secret] = KEY_TEXT.exec(text) ?? [];
  return id === undefined || secret === undefined ? undefined : { id, secret };
}

export function formatKeyText({ id, secret }: KeyText): string {
  return `assay_${id}_${secret}`;
}

/** 256 random bits in base 62: no character that a shell, a URL or a double click would stop at. */
export function newSecret(): string {
  let rest = BigInt(`0x${randomBytes(32).toString('hex')}`);
  let text = '';
  for (let i = 0; i < SECRET_LENGTH; i++) {
    text = ALPHABET.charAt(Number(rest % 62n)) + text;
    rest /= 62n;
  }
  return text;
}

/** 64 hex digits. */
export function secretSha256(secret: string): string {
  return hash('sha256', secret);
}
