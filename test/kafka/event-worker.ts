/** A member of group `g` that handles events slowly until it is killed: `event-worker.ts BROKERS TOPIC`. */
import { setTimeout as delay } from 'node:timers/promises';
import { openEventBus } from '@assay/events';
import { kafkaConfig } from '@assay/kafka';
import { loadConfig } from '@assay/runtime';

const [brokers = '', topic = ''] = process.argv.slice(2);
const kafka = loadConfig(kafkaConfig, { flags: { brokers, sessionTimeoutMs: 6000 } });
const log = { warn: console.error, error: console.error };
const bus = await openEventBus('kafka:', { kafka, clientId: 'assay-worker', log });
await bus.subscribe({ topics: [topic], delivery: { group: 'g' }, from: 'latest' }, async ({ sequence }) => {
  await delay(10);
  console.log(`handled ${sequence}`);
});
console.log('subscribed');
