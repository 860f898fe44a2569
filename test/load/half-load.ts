/**
 * Latency at half of what the service can do, beside a bare Fastify echo of the same body at half of what that can do, in
 * turns. `paced-generator.ts` says how the load comes, and how far it can be wrong itself.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { closedLoop, type RawTarget } from './closed-loop.ts';
import { median } from './generator.ts';
import { ROUNDS, SECONDS, SMALL, targetOf } from './lane.ts';
import type { Paced, PacedOptions } from './paced-generator.ts';
import { pinning, startPinned } from './pinned.ts';
import { coreBusyMicroseconds, cpuMicroseconds } from './processes.ts';

/** Those that the capacity is measured with, and those that may be open at half of it. */
const CONNECTIONS = SMALL.connections;
/** Where `pinning` puts the servers. */
const SERVER_CORE = 0;
const WARM_UP_SECONDS = 3;
const MUST_BE_WITHIN_MS = 1;
/** A load that can be more wrong than that itself cannot tell. */
const MAX_OWN_ERROR_MS = MUST_BE_WITHIN_MS / 2;

/** The generator, in a process of its own on the core of this one, which does nothing meanwhile. */
interface PacedLoad extends AsyncDisposable {
  run(target: RawTarget, options: PacedOptions): Promise<Paced>;
}

function startPacedLoad(): PacedLoad {
  const child: ChildProcess = fork(fileURLToPath(new URL('./paced-generator.ts', import.meta.url)), {
    execArgv: ['--max-semi-space-size=32'],
  });
  const ended = once(child, 'exit');
  return {
    async run({ url, path, body, headers }, options) {
      child.send({ post: { url, path, body, headers }, options });
      const [answer] = await Promise.race([once(child, 'message'), ended]);
      if (answer?.paced === undefined) throw new Error(`the load failed: ${answer?.problem ?? 'its process ended'}`);
      return answer.paced;
    },
    async [Symbol.asyncDispose]() {
      child.kill();
      await ended;
    },
  };
}

interface Row {
  readonly name: string;
  readonly target: RawTarget;
  readonly perSecond: number;
  /** With the shares of the server's core that it had itself, and that others had. */
  readonly rounds: (Paced & { readonly busy: number; readonly others: number })[];
}

export async function benchHalfLoad(): Promise<void> {
  const pin = pinning();
  await using echo = await startPinned(pin, 'echo-server');
  await using server = await startPinned(pin, 'lane-server', 'on');
  const ofEcho: RawTarget = { name: 'echo', ...echo, path: '/echo', body: SMALL.body };
  const ofLane = targetOf(server, 'lane', SMALL);
  for (const target of [ofEcho, ofLane]) await closedLoop(target, CONNECTIONS, WARM_UP_SECONDS);
  const [half, halfOfLane] = [await halfOfCapacity(ofEcho), await halfOfCapacity(ofLane)];
  const base: Row = { name: 'echo', target: ofEcho, perSecond: half, rounds: [] };
  const rows: readonly Row[] = [
    base,
    { name: "lane, at the echo's rate", target: ofLane, perSecond: half, rounds: [] },
    { name: 'lane, at half of its own', target: ofLane, perSecond: halfOfLane, rounds: [] },
  ];
  await using load = startPacedLoad();
  for (let round = -1; round < ROUNDS * SECONDS; round++) {
    for (const { target, perSecond, rounds } of rows) {
      const before = [cpuMicroseconds(target.pid), coreBusyMicroseconds(SERVER_CORE)] as const;
      const paced = await load.run(target, { perSecond, seconds: 1, connections: CONNECTIONS });
      const busy = (cpuMicroseconds(target.pid) - before[0]) / 1e6;
      const others = Math.max(0, (coreBusyMicroseconds(SERVER_CORE) - before[1]) / 1e6 - busy); // told in ticks of 10 ms
      if (round >= 0) rounds.push({ ...paced, busy, others }); // the first compiles
    }
  }
  console.log(
    `at half of capacity: requests at random times, latency from when they were due, medians of rounds of 1 s`,
  );
  console.log(
    `  beyond: p99 less the echo's (must be at most ${MUST_BE_WITHIN_MS} ms); own error: p99 of the load's, in ms; busy: the server's share of its core, others: everybody else's`,
  );
  console.log('                              req/s    p50 ms    p99 ms    beyond   own error   busy   others');
  for (const row of rows) print(row, base);
}

async function halfOfCapacity(target: RawTarget): Promise<number> {
  const perSecond: number[] = [];
  for (let i = 0; i < 3; i++) perSecond.push((await closedLoop(target, CONNECTIONS, 1)).requestsPerSecond);
  return median(perSecond) / 2;
}

function print({ name, perSecond, rounds }: Row, base: Row): void {
  const of = (key: keyof Row['rounds'][number]): number => median(rounds.map((each) => each[key]));
  const beyond = median(rounds.map(({ p99Ms }, i) => p99Ms - (base.rounds[i]?.p99Ms ?? Number.NaN)));
  const isExact = of('ownErrorP99Ms') <= MAX_OWN_ERROR_MS;
  console.log(
    [
      `  ${name.padEnd(25)}`,
      perSecond.toFixed(0).padStart(7),
      of('p50Ms').toFixed(2).padStart(9),
      of('p99Ms').toFixed(2).padStart(9),
      beyond.toFixed(2).padStart(9),
      of('ownErrorP99Ms').toFixed(2).padStart(11),
      `${(100 * of('busy')).toFixed(0)} %`.padStart(6),
      `${(100 * of('others')).toFixed(0)} %`.padStart(8),
      isExact ? '' : '  tells nothing: the load itself was too late',
    ].join(' '),
  );
}

if (import.meta.main) await benchHalfLoad();
