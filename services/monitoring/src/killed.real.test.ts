import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createMonitoringClient } from '@assay/client';
import { PREDICTIONS_LOGGED, type PredictionEntry, TOPICS } from '@assay/contracts';
import { newEvent, openDatabaseEventBus } from '@assay/events';
import { createLogger, entryUrl, nodeArguments } from '@assay/runtime';
import { DuckDBInstance } from '@duckdb/node-api';
import { expect, test } from 'vitest';

const KILLS = 4;
const EVENTS_A_KILL = 60;

interface Child {
  readonly process: ChildProcess;
  readonly url: string;
}

async function start(dataDir: string): Promise<Child> {
  const child = spawn(
    process.execPath,
    [...nodeArguments(), fileURLToPath(entryUrl('services/monitoring', 'monitoring'))],
    {
      env: {
        ...process.env,
        ASSAY_DATA_DIR: dataDir,
        ASSAY_MONITORING_PORT: '0',
        ASSAY_MONITORING_ROLL_ROWS: '30',
        ASSAY_MONITORING_ROLL_AFTER_MS: '100',
        ASSAY_MONITORING_RETENTION_DAYS: '36500', // the predictions of the test are of a fixed time
        ASSAY_LOG_LEVEL: 'warn',
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let output = '';
  for await (const data of child.stdout) {
    output += String(data);
    const url = /listens on (\S+)/.exec(output)?.[1];
    if (url !== undefined) {
      child.stdout.resume();
      return { process: child, url };
    }
  }
  throw new Error(`monitoring did not start: ${output}`);
}

async function kill({ process: child }: Child, signal: NodeJS.Signals): Promise<void> {
  const closed = once(child, 'exit');
  child.kill(signal);
  await closed;
}

function entry(number: number): PredictionEntry {
  return {
    id: `prd_${number}`,
    at: Date.UTC(2026, 0, 1 + (number % 3)),
    door: 'rest',
    endpointId: `ept_${number % 2}`,
    endpointName: `endpoint-${number % 2}`,
    modelName: 'm',
    version: 1,
    versionId: 'ver_1',
    digest: 'a'.repeat(64),
    routingRevision: 1,
    executionClass: 'class',
    record: `{"n":${number}}`,
    outputs: '{}',
  };
}

test('a service that is killed with -9 again and again keeps each prediction once', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'assay-killed-'));
  const log = createLogger({ service: 'test', level: 'silent' });
  const bus = await openDatabaseEventBus({ url: `sqlite:${join(dataDir, 'events.sqlite')}`, log });
  let child: Child | undefined;
  try {
    let published = 0;
    for (let round = 0; round <= KILLS; round++) {
      child = await start(dataDir);
      await using monitoring = createMonitoringClient({ url: child.url });
      const last = published + EVENTS_A_KILL * 3 - 1;
      for (let i = 0; i < EVENTS_A_KILL; i++) {
        const predictions = [entry(published++), entry(published++), entry(published++)];
        // Each third is published twice, as by a sender that did not hear that it had worked.
        const event = { source: '/test', type: PREDICTIONS_LOGGED, subject: 's', sequence: 0, data: { predictions } };
        for (let again = i % 3 === 0 ? 2 : 1; again > 0; again--)
          await bus.publish(TOPICS.predictions, [newEvent(event)]);
      }
      // Somewhere in what it does with them: the first of the round has arrived, or the last, or a file was written since.
      const awaited = round === KILLS ? last : last - Math.floor(Math.random() * EVENTS_A_KILL * 3);
      const arrived = async () => (await monitoring.getPrediction(`prd_${awaited}`).catch(() => undefined))?.id;
      await expect.poll(arrived, { timeout: 30_000, interval: 5 }).toBe(`prd_${awaited}`);
      if (round < KILLS) {
        await delay(Math.random() * 200);
        await kill(child, 'SIGKILL');
      }
    }
    if (child === undefined) throw new Error('unreachable: it was started');
    const metrics = async () =>
      /^assay_monitoring_waiting_rows (\d+)/m.exec(await (await fetch(`${child?.url}/metrics`)).text())?.[1];
    await expect.poll(metrics, { timeout: 30_000 }).toBe('0');
    await kill(child, 'SIGTERM');
    expect(child.process.exitCode).toBe(0);

    const connection = await (await DuckDBInstance.create()).connect();
    const files = join(dataDir, 'monitoring/predictions/**/*.parquet');
    const sql = `SELECT count(*), count(DISTINCT id), min("date"), max("date"), count(DISTINCT endpoint) FROM read_parquet('${files}', hive_partitioning = true)`;
    const [found] = (await connection.runAndReadAll(sql)).getRowsJson();
    connection.closeSync();
    expect(found?.map(String)).toEqual([String(published), String(published), '2026-01-01', '2026-01-03', '2']);
  } finally {
    if (child !== undefined && child.process.exitCode === null && child.process.signalCode === null)
      await kill(child, 'SIGKILL');
    await bus.close();
    await rm(dataDir, { recursive: true, force: true });
  }
});
