import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEventBus } from '@assay/events';
import { kafkaConfig } from '@assay/kafka';
import { createLogger, loadConfig } from '@assay/runtime';
import { expect, test } from 'vitest';
import { monitoringConfig } from './config.ts';
import { createMonitoring } from './service.ts';

/** A port that nobody listens on. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

test('with its brokers away the service starts, is not ready and says why, and stops when it is told to', async () => {
  await using opened = new AsyncDisposableStack();
  const dataDir = await mkdtemp(join(tmpdir(), 'assay-bus-away-'));
  opened.defer(() => rm(dataDir, { recursive: true, force: true }));
  const log = createLogger({ service: 'monitoring', level: 'silent' });
  const kafka = loadConfig(kafkaConfig, { flags: { brokers: [`127.0.0.1:${await closedPort()}`] } });
  const bus = await openEventBus('kafka:', { log, clientId: 'assay-monitoring', kafka });
  opened.defer(() => bus.close());
  const monitoring = await createMonitoring(loadConfig(monitoringConfig, { flags: { dataDir, port: 0 } }), {
    bus,
    log,
  });
  await monitoring.start();
  const url = monitoring.addresses.http ?? '';
  const ready = await fetch(`${url}/readyz`);
  expect(ready.status).toBe(503);
  expect(await ready.json()).toMatchObject({
    checks: { database: { ready: true }, events: { ready: false, message: expect.stringContaining('event bus') } },
  });
  expect((await fetch(`${url}/v1/predictions`)).status).toBe(200);
  await monitoring.close();
  await expect(fetch(`${url}/readyz`)).rejects.toThrow();
});
