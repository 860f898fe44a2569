/** For the tests of this service: the service on a free port with a folder of its own, a registry, data and specs. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createTrainingClient, type TrainingClient } from '@assay/client';
import type { Job, TrainingSpec } from '@assay/contracts';
import { openDatabaseEventBus } from '@assay/events';
import { createLogger, loadConfig } from '@assay/runtime';
import { createRandom } from '@assay/statistics';
import { trainingConfig } from './config.ts';
import { type RegistryUnderTest, startRegistry } from './registry-under-test.ts';
import { createTraining } from './service.ts';
import { LIBRARY_CACHE, temporaryFolder } from './trainers/trainer-under-test.ts';

export { LIBRARY_CACHE, temporaryFolder };

export interface TrainingUnderTest {
  readonly url: string;
  readonly client: TrainingClient;
  readonly registry: RegistryUnderTest;
  readonly dataDir: string;
  /** Creates a job and follows it to its end. */
  run(spec: TrainingSpec): Promise<Job>;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function startTraining(): Promise<TrainingUnderTest> {
  await using opened = new AsyncDisposableStack();
  const dataDir = await temporaryFolder(opened);
  const registry = opened.use(await startRegistry());
  const log = createLogger({ service: 'training', level: 'silent' });
  const bus = await openDatabaseEventBus({ url: `sqlite:${join(dataDir, 'events.sqlite')}`, log });
  opened.defer(() => bus.close());
  const config = loadConfig(trainingConfig, { flags: settings(dataDir, registry.url) });
  const service = await createTraining(config, { bus, log });
  opened.defer(() => service.close());
  await service.start();
  const url = service.addresses.http ?? '';
  const client = opened.use(createTrainingClient({ url }));
  const resources = opened.move();
  return {
    url,
    client,
    registry,
    dataDir,
    run: async (spec) => follow(client, (await client.createJob({ spec })).id),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

export function settings(dataDir: string, registryUrl: string) {
  return { port: 0, dataDir, registryUrl, libraryCacheDir: LIBRARY_CACHE, logLevel: 'silent' } as const;
}

export async function follow(client: TrainingClient, id: string): Promise<Job> {
  let last = await client.getJob(id);
  for await (const job of client.followJob(id)) last = job;
  return last;
}

/**
 * A CSV file of shops' customers: whether they come back depends on their age, their city, their spending (missing for
 * one in ten) and whether they are members. Seeded.
 */
export async function writeCustomers(dir: string, rows: number): Promise<string> {
  const random = createRandom(11);
  const cities = ['Bern', 'Basel', 'Chur', 'Genf', 'Lugano', 'Sion', 'Thun', 'Zug'];
  const lines = ['age,city,spent,member,visits,joined,back'];
  for (let row = 0; row < rows; row++) {
    const age = 18 + random.nextInt(60);
    const city = random.nextInt(cities.length);
    const spent = random.nextInt(10) === 0 ? undefined : Math.exp(6 * random.nextFloat());
    const member = random.nextInt(3) === 0;
    const visits = random.nextInt(40);
    const score =
      (age - 45) / 20 + (city % 3) - 1 + (spent === undefined ? 0.5 : Math.log(spent) / 3 - 1) + (member ? 1 : 0);
    const back = random.nextFloat() < 1 / (1 + Math.exp(-1.5 * score));
    const joined = new Date(Date.UTC(2024, 0, 1) + row * 3_600_000).toISOString();
    lines.push(`${age},${cities[city]},${spent ?? ''},${member},${visits},${joined},${back}`);
  }
  const path = join(dir, `customers-${rows}.csv`);
  await writeFile(path, `${lines.join('\n')}\n`);
  return path;
}

export function customerSpec(
  path: string,
  trainer: TrainingSpec['trainer'] = { name: 'lightgbm', rounds: 30 },
): TrainingSpec {
  return {
    model: 'customers',
    source: { path },
    target: { name: 'returns', expression: 'back' },
    features: [
      { name: 'age', dtype: 'int64', unit: 'a' },
      { name: 'city', dtype: 'string' },
      { name: 'spent', dtype: 'float64' },
      { name: 'member', dtype: 'bool' },
      { name: 'visits', dtype: 'int64', categorical: true },
      { name: 'half', dtype: 'float32', expression: 'spent / 2' },
      { name: 'joined', dtype: 'timestamp' },
    ],
    split: { by: 'random', validation: 0.2, test: 0.2 },
    trainer,
    seed: 5,
    register: { alias: 'champion', tags: { team: 'shop' } },
  };
}
