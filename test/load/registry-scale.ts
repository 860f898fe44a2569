/**
 * The reads of a registry that has been in use for long, on SQLite and on PostgreSQL: how long each takes in the process
 * at the half and at the hundredth. `node test/load/registry-scale.ts [SHARE] [sqlite|postgres]`: 1 is the full size.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Database } from '@assay/database';
import { vacuum } from '@assay/database/query-plans';
import { startPostgres } from '@assay/database/testing';
import { openRegistryDatabase } from '../../services/registry/src/service.ts';
import type { RegistryTables } from '../../services/registry/src/store/tables.ts';
import { type HotRead, hotReads } from '../../services/registry/src/testing/hot-reads.ts';
import { type RegistrySize, seedRegistry } from '../../services/registry/src/testing/seed-registry.ts';
import { median } from './generator.ts';

/** 100,000 versions of 10,000 models, and 10 million points of metrics. */
const FULL_SIZE: RegistrySize = {
  ...{ models: 10_000, versionsPerModel: 10, datasets: 1000 },
  ...{ experiments: 10, runsPerExperiment: 1000, metricsPerRun: 4, stepsPerMetric: 250 },
};
const BOUND_MS = 20;
const WARM_UP = 30;
const ROUNDS = 3;
const ASKED = 300;
/** What a statement costs that finds nothing: the machine's own noise is in all the others, too. */
const NOTHING: Readonly<Record<string, HotRead>> = {
  '(nothing)': (db) => db.selectFrom('models').select('id').where('id', '=', '').execute(),
};
/** A prime: one ask after the other is for something far away. */
const STRIDE = 7919;

/** @throws Error when a read takes longer than the bound in more than one of a hundred */
export async function benchRegistryScale(share: number, only?: string): Promise<void> {
  const size: RegistrySize = {
    ...FULL_SIZE,
    models: Math.ceil(FULL_SIZE.models * share),
    runsPerExperiment: Math.ceil(FULL_SIZE.runsPerExperiment * share),
  };
  const versions = size.models * size.versionsPerModel;
  const points = size.experiments * size.runsPerExperiment * size.metricsPerRun * size.stepsPerMetric;
  console.log(
    `\nThe registry's reads among ${versions} versions of ${size.models} models and ${points} points of metrics`,
  );
  const slow: string[] = [];
  if (only !== 'postgres') {
    const dir = await mkdtemp(join(tmpdir(), 'assay-registry-scale-'));
    try {
      slow.push(...(await measure('SQLite', `sqlite:${join(dir, 'registry.sqlite')}`, size)));
    } finally {
      await rm(dir, { recursive: true });
    }
  }
  if (only !== 'sqlite') {
    await using server = await startPostgres({ settings: ["shared_buffers = '256MB'", "max_wal_size = '4GB'"] });
    slow.push(...(await measure('PostgreSQL', server.url('registry'), size, () => vacuum(server, 'registry'))));
  }
  if (slow.length > 0) throw new Error(`more than ${BOUND_MS} ms: ${slow.join(', ')}`);
}

async function measure(
  name: string,
  url: string,
  size: RegistrySize,
  tidyUp: () => Promise<void> = async () => undefined,
): Promise<string[]> {
  await using database = await openRegistryDatabase(url);
  const startMs = performance.now();
  await seedRegistry(database, size);
  await tidyUp();
  console.log(
    `${name} (filled in ${((performance.now() - startMs) / 1000).toFixed(0)} s)`.padEnd(50),
    '   p50 ms    p99 ms',
  );
  const slow: string[] = [];
  for (const [what, read] of Object.entries({ ...NOTHING, ...hotReads(size) })) {
    const { p50Ms, p99Ms } = await timesOf(database, read);
    console.log(`  ${what}`.padEnd(50), p50Ms.toFixed(2).padStart(9), p99Ms.toFixed(2).padStart(9));
    if (p99Ms > BOUND_MS) slow.push(`${what} on ${name}`);
  }
  return slow;
}

/** The median of some rounds, so that what else the machine does in one of them does not count. */
async function timesOf({ db }: Database<RegistryTables>, read: HotRead): Promise<{ p50Ms: number; p99Ms: number }> {
  for (let i = 0; i < WARM_UP; i++) await read(db, i * STRIDE);
  const rounds: number[][] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const timesMs: number[] = [];
    for (let i = 0; i < ASKED; i++) {
      const startMs = performance.now();
      await read(db, (round * ASKED + i) * STRIDE);
      timesMs.push(performance.now() - startMs);
    }
    rounds.push(timesMs.sort((a, b) => a - b));
  }
  const at = (part: number): number => median(rounds.map((times) => times[Math.floor(times.length * part)] ?? 0));
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}

if (import.meta.main) await benchRegistryScale(Number(process.argv[2] ?? 0.1), process.argv[3]);
