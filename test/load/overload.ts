/**
 * More than the service can do, by clients that wait 100 ms and hang up: `node test/load/overload.ts [--short]`. What counts
 * is how much of the capacity is still answered in time, and that the rest is told at once.
 */
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { closedLoop, type RawTarget } from './closed-loop.ts';
import { GRACE_MS, type Outcomes, openLoop } from './open-loop.ts';
import { type PinnedServer, pinning, startPinned } from './pinned.ts';
import { cpuMicroseconds } from './processes.ts';

const DEADLINE_MS = 100;
const REFUSED_WITHIN_MS = 5;
const MUSTS = `must: goodput 0.90, in time 99.9 %, refusals within ${REFUSED_WITHIN_MS} ms and with Retry-After, again in time within 1 s`;

interface Overload {
  readonly name: string;
  readonly target: (server: PinnedServer) => RawTarget;
  /** Connections that fill the capacity without passing a deadline. */
  readonly connections: number;
  readonly factors: readonly number[];
  readonly impatience: 'hangsUp' | 'waits';
}

const numbers = (count: number) => Array.from({ length: count }, (_, i) => Math.round(Math.sin(i + 1) * 1e5) / 1e5);

function inferOf(model: string, width: number) {
  const inputs = [{ name: 'x', shape: [1, width], datatype: 'FP32', data: numbers(width) }];
  return ({ url, pid, key }: PinnedServer): RawTarget => ({
    name: model,
    url,
    pid,
    path: `/v2/models/${model}/infer`,
    body: JSON.stringify({ inputs }),
    headers: [`Authorization: Bearer ${key}`],
  });
}

const CASES: readonly Overload[] = [
  { name: '2 ms a row', target: inferOf('slow', 1), connections: 16, factors: [1.5, 2, 10], impatience: 'hangsUp' },
  { name: 'small MLP', target: inferOf('small', 30), connections: 64, factors: [1.5], impatience: 'waits' },
];

export async function benchOverload(seconds: number): Promise<void> {
  await using server = await startPinned(pinning(), 'lane-server', 'on', 'slow');
  console.log(`\nOverload: arrivals at a multiple of the capacity, deadline ${DEADLINE_MS} ms, clients hang up`);
  console.log(
    `(in time as a client sees it, who waits ${GRACE_MS} ms more for the way there and back; lag: p99 of sending)`,
  );
  console.log(MUSTS);
  console.log(
    'model         load   sent/s  goodput  in time  in 100 ms  refusals: p50      p99  in 5 ms  µs CPU   late  lag ms  others',
  );
  for (const { name, target: targetOf, connections, factors, impatience } of CASES) {
    const target = targetOf(server);
    await closedLoop(target, connections, 1); // compiles
    const capacity = await closedLoop(target, connections, Math.max(2, seconds / 2));
    for (const factor of factors) {
      const before = cpuMicroseconds(server.pid);
      const load = { perSecond: factor * capacity.requestsPerSecond, seconds, deadlineMs: DEADLINE_MS, impatience };
      const outcomes = await openLoop(target, load);
      const cpu = cpuMicroseconds(server.pid) - before;
      const spent = cpu - outcomes.answeredMs.length * capacity.cpuMicrosecondsPerRequest;
      print(name, factor, outcomes, seconds, capacity.requestsPerSecond, spent);
      const after = await openLoop(target, { ...load, perSecond: capacity.requestsPerSecond / 2, seconds: 2 });
      console.log(
        `              then 0.5 ×: ${percent(after.answeredMs.length, after.sent)} in time, all of them after ${(outcomes.settledMs + after.lastMissMs).toFixed(0)} ms (must: 1000)`,
      );
    }
    const storm = { perSecond: capacity.requestsPerSecond, seconds, deadlineMs: DEADLINE_MS, reconnects: true };
    const outcomes = await openLoop(target, storm);
    print(`${name}, storm`, 1, outcomes, seconds, capacity.requestsPerSecond, Number.NaN);
  }
}

function print(
  name: string,
  factor: number,
  outcomes: Outcomes,
  seconds: number,
  capacity: number,
  spent: number,
): void {
  const { sent, answeredMs, refusedMs, late, others, refusedWithoutRetryAfter, sendLagMs } = outcomes;
  const admitted = answeredMs.length + late;
  const at = (values: readonly number[], share: number) =>
    values.toSorted((a, b) => a - b)[Math.floor(share * (values.length - 1))] ?? Number.NaN;
  const within = (values: readonly number[], ms: number) => values.filter((value) => value <= ms).length;
  const rest = [
    ...others,
    ...(refusedWithoutRetryAfter > 0 ? [['without Retry-After', refusedWithoutRetryAfter]] : []),
  ];
  console.log(
    [
      name.padEnd(12),
      `${factor} ×`.padStart(6),
      (sent / seconds).toFixed(0).padStart(7),
      (answeredMs.length / seconds / capacity).toFixed(2).padStart(8),
      percent(answeredMs.length, admitted).padStart(8),
      percent(within(answeredMs, DEADLINE_MS), admitted).padStart(10),
      `${at(refusedMs, 0.5).toFixed(1)} ms`.padStart(14),
      `${at(refusedMs, 0.99).toFixed(1)} ms`.padStart(8),
      percent(within(refusedMs, REFUSED_WITHIN_MS), refusedMs.length).padStart(8),
      (spent / refusedMs.length).toFixed(0).padStart(7),
      String(late).padStart(6),
      at(sendLagMs, 0.99).toFixed(1).padStart(7),
      rest.map(([what, count]) => `${what}: ${count}`).join(', ') || '-',
    ].join(' '),
  );
}

function percent(part: number, whole: number): string {
  return whole === 0 ? '-' : `${((100 * part) / whole).toFixed(2)} %`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.log(`Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}`);
  await benchOverload(process.argv.includes('--short') ? 3 : 10);
}
