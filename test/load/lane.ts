/**
 * The inference service with the lane and without, beside a bare Fastify echo of the same body, in turns, so that noise
 * meets all alike. The servers have one core, the load another, where the machine lets them be pinned.
 */
import { closedLoop, type RawTarget } from './closed-loop.ts';
import { median, type Sample } from './generator.ts';
import { type PinnedServer, pinning, startPinned } from './pinned.ts';
import { residentMegabytes, type Server } from './processes.ts';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);
const SECONDS = Number(process.env.BENCH_SECONDS ?? 2);

interface Case {
  readonly name: string;
  readonly path: string;
  readonly body: string;
  readonly connections: number;
}

/** Numbers as features have them: a few digits, half of them negative. */
export function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, i) => Math.round(Math.sin(i + 1) * 300_000) / 100_000);
}

function inferCase(name: string, model: string, rows: number, width: number, connections: number): Case {
  const inputs = [{ name: 'x', shape: [rows, width], datatype: 'FP32', data: numbers(rows * width) }];
  return { name, path: `/v2/models/${model}/infer`, body: JSON.stringify({ inputs }), connections };
}

const RECORD = Object.fromEntries(numbers(30).map((value, i) => [`feature_${i}`, value]));
const CASES: readonly Case[] = [
  inferCase('small MLP', 'small', 1, 30, 1),
  inferCase('small MLP', 'small', 1, 30, 16),
  inferCase('small MLP', 'small', 1, 30, 64),
  inferCase('small MLP', 'small', 1, 30, 256),
  inferCase('small MLP, 32 rows', 'small', 32, 30, 16),
  inferCase('big MLP, 1,024 floats', 'big', 1, 1024, 64),
  {
    name: 'named record, 30 features',
    path: '/v1/endpoints/named/score',
    body: JSON.stringify({ records: [RECORD] }),
    connections: 64,
  },
];

export async function benchLane(): Promise<void> {
  const pin = pinning();
  await using echo = await startPinned(pin, 'echo-server');
  await using on = await startPinned(pin, 'lane-server', 'on');
  await using off = await startPinned(pin, 'lane-server', 'off');
  console.log(`\nThe inference service with the lane and without: ratios over a bare Fastify echo of the same body`);
  console.log('model                      conn.   echo req/s    lane    off   lane/off   echo µs   lane µs    off µs');
  for (const { name, path, body, connections } of CASES) {
    const ours = (server: PinnedServer, what: string): RawTarget => ({
      name: what,
      ...server,
      path,
      body,
      headers: [`Authorization: Bearer ${server.key}`],
    });
    const targets = [{ name: 'echo', ...echo, path: '/echo', body }, ours(on, 'lane'), ours(off, 'no lane')] as const;
    const samples: [Sample[], Sample[], Sample[]] = [[], [], []];
    for (const target of targets) await closedLoop(target, connections, 1); // the first seconds compile
    for (let round = 0; round < ROUNDS; round++) {
      for (const i of [0, 1, 2] as const) samples[i].push(await closedLoop(targets[i], connections, SECONDS));
    }
    const [base, lane, plain] = samples;
    const ratio = (over: readonly Sample[], under: readonly Sample[]) =>
      median(over.map((each, i) => each.requestsPerSecond / (under[i]?.requestsPerSecond ?? Number.NaN)));
    const cpu = (from: readonly Sample[]) => median(from.map((each) => each.cpuMicrosecondsPerRequest)).toFixed(1);
    console.log(
      [
        name.padEnd(26),
        String(connections).padStart(5),
        median(base.map((each) => each.requestsPerSecond))
          .toFixed(0)
          .padStart(12),
        ratio(lane, base).toFixed(2).padStart(7),
        ratio(plain, base).toFixed(2).padStart(6),
        ratio(lane, plain).toFixed(2).padStart(10),
        cpu(base).padStart(9),
        cpu(lane).padStart(9),
        cpu(plain).padStart(9),
      ].join(' '),
    );
  }
  const megabytes = (server: Server) => `${residentMegabytes(server.pid).toFixed(0)} MB`;
  console.log(`resident memory: echo ${megabytes(echo)}, with the lane ${megabytes(on)}, without ${megabytes(off)}`);
}
