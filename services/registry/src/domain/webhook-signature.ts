/**
 * Signatures of what is posted, as Standard Webhooks has them (https://www.standardwebhooks.com, "Signature scheme"): HMAC
 * SHA-256 of `ID.TIMESTAMP.BODY`, the key being the bytes behind `whsec_`. MLflow signs the same text with the secret's own
 * characters as the key; both are sent, so that receivers of either form work.
 */
import { createHmac, randomBytes } from 'node:crypto';

const PREFIX = 'whsec_';
/** Standard Webhooks asks for 24 to 64. */
const SECRET_BYTES = 32;

export function newWebhookSecret(): string {
  return `${PREFIX}${randomBytes(SECRET_BYTES).toString('base64')}`;
}

/** @param secrets the one that holds first; with the former one while it still does */
export function signedHeaders(
  secrets: readonly [string, ...string[]],
  message: { readonly id: string; readonly timestampSeconds: number; readonly body: string },
): Record<string, string> {
  const { id, timestampSeconds, body } = message;
  const timestamp = String(timestampSeconds);
  const text = `${id}.${timestamp}.${body}`;
  const standard = secrets.map((secret) => signature(Buffer.from(secret.slice(PREFIX.length), 'base64'), text));
  return {
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': standard.join(' '),
    'x-mlflow-delivery-id': id,
    'x-mlflow-timestamp': timestamp,
    'x-mlflow-signature': signature(Buffer.from(secrets[0]), text),
  };
}

function signature(key: Buffer, text: string): string {
  return `v1,${createHmac('sha256', key).update(text).digest('base64')}`;
}
