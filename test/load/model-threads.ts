/**
 * Two models at work, each in a thread of its own, beside one that is given all of the same load: CPU time a request, in
 * turns in one server.
 */
import { closedLoop } from './closed-loop.ts';
import { median, type Sample } from './generator.ts';
import { inferPath, ROUNDS, SECONDS, SMALL, targetOf } from './lane.ts';
import { pinning, startPinned } from './pinned.ts';

/** A run takes 64 rows: with 256 connections the batches of two threads are as full as those of one, with 64 half as full. */
const CASES = [
  { name: 'large MLP', model: 'large', connections: 256 },
  { name: 'large MLP', model: 'large', connections: 64 },
  { name: 'small MLP', model: 'small', connections: 256 },
  { name: 'small MLP', model: 'small', connections: 64 },
];

export async function benchModelThreads(): Promise<void> {
  await using server = await startPinned(pinning(), 'lane-server', 'on', 'twins');
  console.log('\nModels in threads on one core, requests to one of them beside as many to two: CPU µs a request');
  console.log('model      conn.    one req/s     two/one   one µs   two µs   two/one (must be at most 1.1)');
  for (const { name, model, connections } of CASES) {
    const [one, two] = [model, `${model}-twin`].map((each) =>
      targetOf(server, each, { path: inferPath(each), body: SMALL.body }),
    );
    if (one === undefined || two === undefined) throw new Error('two names make two targets');
    const shared = async (): Promise<Work> => {
      const halves = await Promise.all([one, two].map((target) => closedLoop(target, connections / 2, SECONDS)));
      return together(halves);
    };
    const samples: [Work[], Work[]] = [[], []];
    await shared();
    for (let round = 0; round < ROUNDS; round++) {
      samples[0].push(together([await closedLoop(one, connections, SECONDS)]));
      samples[1].push(await shared());
    }
    const [byOne, byTwo] = samples;
    const ratio = (key: keyof Work) => median(byTwo.map((each, i) => each[key] / (byOne[i]?.[key] ?? Number.NaN)));
    const of = (from: readonly Work[], key: keyof Work) => median(from.map((each) => each[key]));
    console.log(
      [
        name.padEnd(10),
        String(connections).padStart(5),
        of(byOne, 'requestsPerSecond').toFixed(0).padStart(12),
        ratio('requestsPerSecond').toFixed(2).padStart(11),
        of(byOne, 'cpuMicroseconds').toFixed(1).padStart(8),
        of(byTwo, 'cpuMicroseconds').toFixed(1).padStart(8),
        ratio('cpuMicroseconds').toFixed(2).padStart(9),
      ].join(' '),
    );
  }
}

interface Work {
  readonly requestsPerSecond: number;
  /** Of a request. */
  readonly cpuMicroseconds: number;
}

/** Of loads on one server in the same seconds: each of them was told the CPU time of all. */
function together(samples: readonly Sample[]): Work {
  const requestsPerSecond = samples.reduce((sum, each) => sum + each.requestsPerSecond, 0);
  const perSecond = median(samples.map((each) => each.cpuMicrosecondsPerRequest * each.requestsPerSecond));
  return { requestsPerSecond, cpuMicroseconds: perSecond / requestsPerSecond };
}

if (import.meta.main) await benchModelThreads();
