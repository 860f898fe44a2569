/** One attempt at a delivery: the secrets opened, the message signed at this moment, the answer waited for. */
import { AssayError, type Event } from '@assay/contracts';
import { traceFieldsOf } from '@assay/runtime';
import { signedHeaders } from '../domain/webhook-signature.ts';
import type { WebhooksTable } from '../store/tables.ts';
import { type Answer, post } from './post.ts';
import type { SecretBox } from './secret-box.ts';
import type { WebhookNetworks } from './target.ts';

export interface WebhookSending {
  readonly networks: WebhookNetworks;
  /** Absent where there is no key file: then no webhook can be made, and none be sent. */
  readonly secrets: SecretBox | undefined;
  readonly timeoutMs: number;
}

/** @throws AssayError FAILED_PRECONDITION with the setting */
export function requireSecrets({ secrets }: WebhookSending): SecretBox {
  if (secrets !== undefined) return secrets;
  throw new AssayError(
    'FAILED_PRECONDITION',
    'webhooks need a key that seals their secrets; set ASSAY_REGISTRY_WEBHOOK_KEY_FILE (docs/webhooks.md)',
  );
}

/** The headers have the trace of the event, as its attributes do. Never throws: what goes wrong is the answer. */
export async function sendOnce(
  webhook: Pick<WebhooksTable, 'id' | 'url' | 'secret' | 'former_secret' | 'former_until'>,
  message: { readonly eventId: string; readonly body: string },
  sending: WebhookSending,
  signal: AbortSignal,
): Promise<Answer> {
  const now = Date.now();
  let headers: Record<string, string>;
  try {
    const box = requireSecrets(sending);
    const former =
      webhook.former_secret !== null && now < (webhook.former_until ?? 0)
        ? [box.open(webhook.former_secret, webhook.id)]
        : [];
    const event: Event = JSON.parse(message.body); // by messageOf
    const signed = signedHeaders([box.open(webhook.secret, webhook.id), ...former], {
      id: message.eventId,
      timestampSeconds: Math.floor(now / 1000),
      body: message.body,
    });
    headers = { ...signed, ...traceFieldsOf(event) };
  } catch (error) {
    return { error: AssayError.from(error).message, durationMs: 0 };
  }
  const { networks, timeoutMs } = sending;
  return post(webhook.url, { headers, body: message.body }, { networks, timeoutMs, signal });
}
