/**
 * More than the service can do, by clients that wait 100 ms and hang up: `node test/load/overload.ts [--short]`. What counts
 * is how much of the capacity is still answered in time, and that the rest is told at once.
 */
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { closedLoop, type RawTarget } from './closed-loop.ts';
import { type Outcomes, openLoop } from './open-loop.ts';
import { type PinnedServer, pinning, startPinned } from './pinned.ts';
import { cpuMicroseconds } from './processes.ts';

const DEADLINE_MS = 100;

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
  { name: '2 ms a row', target: inferOf('slow', 1), connections: 16, factors: [2, 10], impatience: 'hangsUp' },
  { name: 'small MLP', target: inferOf('small', 30), connections: 64, factors: [1.5], impatience: 'waits' },
];

export async function benchOverload(seconds: number): Promise<void> {
  await using server = await startPinned(pinning(), 'lane-server', 'on', 'slow');
  console.log(`\nOverload: arrivals at a multiple of the capacity, deadline ${DEADLINE_MS} ms, clients hang up`);
  console.log('model         load   sent/s  goodput  in time   refusals: p50      p99   µs CPU   late  others');
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
      const after = await openLoop(target, { ...load, perSecond: capacity.requestsPerSecond / 2, seconds: 1 });
      console.log(
        `              then 0.5: ${((100 * after.answeredMs.length) / after.sent).toFixed(2)} % of the first second's requests were answered in time`,
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
  const { sent, answeredMs, refusedMs, late, others, refusedWithoutRetryAfter } = outcomes;
  const admitted = answeredMs.length + late;
  const at = (values: readonly number[], share: number) =>
    values.toSorted((a, b) => a - b)[Math.floor(share * (values.length - 1))] ?? Number.NaN;
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
      `${((100 * answeredMs.length) / admitted).toFixed(2)} %`.padStart(9),
      `${at(refusedMs, 0.5).toFixed(1)} ms`.padStart(14),
      `${at(refusedMs, 0.99).toFixed(1)} ms`.padStart(8),
      (spent / refusedMs.length).toFixed(0).padStart(8),
      String(late).padStart(6),
      rest.map(([what, count]) => `${what}: ${count}`).join(', ') || '-',
    ].join(' '),
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.log(`Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}`);
  await benchOverload(process.argv.includes('--short') ? 3 : 10);
}
