/**
 * The mean of two models: as one graph, as several in memory, and as two calls whose answers the caller puts together, in
 * turns, so that noise meets all alike. A request of the last is both calls, one after the other on one connection.
 */
import { closedLoop, type RawTarget } from './closed-loop.ts';
import { median, type Sample } from './generator.ts';
import { numbers } from './lane.ts';
import { pinning, startPinned } from './pinned.ts';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 3);
const SECONDS = Number(process.env.BENCH_SECONDS ?? 2);
const CONNECTIONS = [1, 16, 64];

export async function benchEnsembles(): Promise<void> {
  await using server = await startPinned(pinning(), 'ensemble-server');
  const inputs = [{ name: 'x', shape: [1, 30], datatype: 'FP32', data: numbers(30) }];
  const body = JSON.stringify({ inputs });
  const path = (model: string) => `/v2/models/${model}/infer`;
  const target = (...models: readonly [string, ...string[]]): RawTarget => ({
    name: models.join(' and '),
    ...server,
    path: path(models[0]),
    body,
    thenPaths: models.slice(1).map(path),
  });
  const targets = [target('first', 'second'), target('merged'), target('chained')] as const;
  for (const each of targets) await closedLoop(each, 16, 1); // the first seconds compile
  console.log('\nThe mean of two small MLPs: ratios over two HTTP calls');
  console.log('connections   two calls/s  merged  chained   two calls µs CPU  merged  chained');
  for (const connections of CONNECTIONS) {
    const samples: [Sample[], Sample[], Sample[]] = [[], [], []];
    for (let round = 0; round < ROUNDS; round++) {
      for (const i of [0, 1, 2] as const) samples[i].push(await closedLoop(targets[i], connections, SECONDS));
    }
    const [two, merged, chained] = samples;
    const ratio = (over: readonly Sample[]) =>
      median(over.map((each, i) => each.requestsPerSecond / (two[i]?.requestsPerSecond ?? Number.NaN)));
    const cpu = (from: readonly Sample[]) => median(from.map((each) => each.cpuMicrosecondsPerRequest)).toFixed(1);
    console.log(
      [
        String(connections).padStart(11),
        median(two.map((each) => each.requestsPerSecond))
          .toFixed(0)
          .padStart(13),
        ratio(merged).toFixed(2).padStart(7),
        ratio(chained).toFixed(2).padStart(8),
        cpu(two).padStart(18),
        cpu(merged).padStart(7),
        cpu(chained).padStart(8),
      ].join(' '),
    );
  }
}
