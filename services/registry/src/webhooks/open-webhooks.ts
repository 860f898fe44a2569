/** Webhooks as the settings have them: where they may go, what seals their secrets, how much there may be of them. */
import { join } from 'node:path';
import type { Database } from '@assay/database';
import type { RegistryConfig } from '../config.ts';
import type { RegistryMetrics } from '../metrics.ts';
import type { RegistryTables } from '../store/tables.ts';
import { waitingDeliveries } from '../store/webhook-sending.ts';
import type { DeliveryLimits } from './deliverer.ts';
import { makeBoxKey, openSecretBox, type SecretBox } from './secret-box.ts';
import type { WebhookSending } from './send.ts';
import { webhookNetworks } from './target.ts';

/** @throws AssayError FAILED_PRECONDITION for a key file that is none, INVALID_ARGUMENT for a network that is none */
export async function openWebhooks(config: RegistryConfig, dir: string): Promise<WebhookSending> {
  return {
    networks: webhookNetworks(config.webhookAllowedNetworks),
    secrets: await secretBoxOf(config, dir),
    timeoutMs: config.webhookTimeoutMs,
  };
}

/** As the key of the checkpoints: of the setting, else of the data folder, where that holds the database as well. */
async function secretBoxOf(config: RegistryConfig, dir: string): Promise<SecretBox | undefined> {
  if (config.webhookKeyFile !== undefined) return openSecretBox(config.webhookKeyFile);
  if (config.databaseUrl !== undefined) return undefined;
  const file = join(dir, 'webhook-key');
  await makeBoxKey(file);
  return openSecretBox(file);
}

export function deliveryLimits(config: RegistryConfig): DeliveryLimits {
  return {
    maxConcurrent: config.webhookMaxConcurrent,
    giveUpMs: config.webhookGiveUpMs,
    maxPending: config.webhookMaxPending,
    retentionMs: config.webhookRetentionMs,
  };
}

/** The gauges are looked up when they are scraped. */
export function watchWebhooks(metrics: RegistryMetrics, database: Pick<Database<RegistryTables>, 'db'>): void {
  const pending = metrics.webhookPending.bind({});
  const lag = metrics.webhookLag.bind({});
  const disabled = metrics.webhooksDisabled.bind({});
  metrics.webhookPending.onScrape(async () => {
    const waiting = await waitingDeliveries(database.db, Date.now());
    pending.set(waiting.pending);
    lag.set(waiting.oldestSeconds);
    disabled.set(waiting.disabled);
  });
}
