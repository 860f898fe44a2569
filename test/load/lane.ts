/**
 * The inference service with the lane and without, beside a bare Fastify echo of the same body, in turns, so that noise
 * meets all alike. The servers have one core, the load another, where the machine lets them be pinned.
 */
import { closedLoop, type RawTarget } from './closed-loop.ts';
import { median, type Sample } from './generator.ts';
import { type PinnedServer, pinning, startPinned } from './pinned.ts';
import { residentMegabytes, type Server } from './processes.ts';

export const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);
export const SECONDS = Number(process.env.BENCH_SECONDS ?? 2);
const WARM_UP_SECONDS = 5;

interface Case {
  readonly name: string;
  readonly path: string;
  readonly body: string;
  readonly connections: number;
  /** The least that the lane is to reach of the echo's throughput, where that is said. */
  readonly must?: number;
}

/** Numbers as features have them: a few digits, half of them negative. */
export function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, i) => Math.round(Math.sin(i + 1) * 300_000) / 100_000);
}

function inferBody(rows: number, width: number): string {
  const inputs = [{ name: 'x', shape: [rows, width], datatype: 'FP32', data: numbers(rows * width) }];
  return JSON.stringify({ inputs });
}

export const inferPath = (model: string): string => `/v2/models/${model}/infer`;

function inferCase(name: string, model: string, rows: number, width: number, connections: number, must: number): Case {
  return { name, path: inferPath(model), body: inferBody(rows, width), connections, must };
}

const RECORD = Object.fromEntries(numbers(30).map((value, i) => [`feature_${i}`, value]));
export const SMALL = inferCase('small MLP', 'small', 1, 30, 64, 1.45);
export const HEADINGS =
  'model                      conn.   echo req/s    must    lane    off   lane/off   echo µs   lane µs    off µs';
const CASES: readonly Case[] = [
  { ...SMALL, connections: 1, must: 0.9 },
  { ...SMALL, connections: 16, must: 1.35 },
  SMALL,
  { ...SMALL, connections: 256, must: 1.5 },
  inferCase('small MLP, 32 rows', 'small', 32, 30, 16, 1.2),
  inferCase('100 trees', 'trees', 1, 30, 64, 1.3),
  inferCase('big MLP, 1,024 floats', 'big', 1, 1024, 64, 0.95),
  {
    name: 'named record, 30 features',
    path: '/v1/endpoints/named/score',
    body: JSON.stringify({ records: [RECORD] }),
    connections: 64,
    must: 1.45,
  },
  {
    name: 'the same, in another order',
    path: '/v1/endpoints/named/score',
    body: JSON.stringify({ records: [Object.fromEntries(Object.entries(RECORD).toReversed())] }),
    connections: 64,
    must: 1.25,
  },
];

/** As a caller of the service sends it. */
export function targetOf(server: PinnedServer, name: string, { path, body }: Pick<Case, 'path' | 'body'>): RawTarget {
  const headers = server.key === '-' ? [] : [`Authorization: Bearer ${server.key}`];
  return { name, ...server, path, body, headers };
}

export async function benchLane(): Promise<void> {
  const pin = pinning();
  await using echo = await startPinned(pin, 'echo-server');
  await using on = await startPinned(pin, 'lane-server', 'on');
  await using off = await startPinned(pin, 'lane-server', 'off');
  console.log(`\nThe inference service with the lane and without: ratios over a bare Fastify echo of the same body`);
  console.log(HEADINGS);
  const targetsOf = (each: Case) =>
    [
      { name: 'echo', ...echo, path: '/echo', body: each.body },
      targetOf(on, 'lane', each),
      targetOf(off, 'no lane', each),
    ] as const;
  // The first seconds compile; with one connection, which asks a tenth as often, that would be the first minute.
  for (const target of targetsOf(SMALL)) await closedLoop(target, SMALL.connections, WARM_UP_SECONDS);
  for (const each of CASES) {
    await benchRow(each, targetsOf(each));
    if (each === SMALL) printMemory('under that load', echo, on, off);
  }
  printMemory('after all of it', echo, on, off);
  await benchBinary(on);
  await benchFeatures(pin);
}

/** The three in turns, and a line under `HEADINGS`. */
export async function benchRow(
  { name, connections, must }: Pick<Case, 'name' | 'connections' | 'must'>,
  targets: readonly [echo: RawTarget, lane: RawTarget, withoutLane: RawTarget],
): Promise<void> {
  const samples: [Sample[], Sample[], Sample[]] = [[], [], []];
  for (const target of targets) await closedLoop(target, connections, 1);
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
      (must?.toFixed(2) ?? '').padStart(7),
      ratio(lane, base).toFixed(2).padStart(7),
      ratio(plain, base).toFixed(2).padStart(6),
      ratio(lane, plain).toFixed(2).padStart(10),
      cpu(base).padStart(9),
      cpu(lane).padStart(9),
      cpu(plain).padStart(9),
    ].join(' '),
  );
}

function printMemory(when: string, echo: Server, on: Server, off: Server): void {
  const [ofEcho, withLane, without] = [echo, on, off].map(({ pid }) => `${residentMegabytes(pid).toFixed(0)} MB`);
  console.log(`  resident memory ${when}: echo ${ofEcho}, with the lane ${withLane} (must 150), without ${without}`);
}

/** Numbers as bytes beside numbers as text, by the lane both. */
async function benchBinary(server: PinnedServer): Promise<void> {
  const width = 1024;
  const floats = Buffer.from(Float32Array.from(numbers(width)).buffer);
  const parameters = { binary_data_size: floats.length };
  const head = JSON.stringify({
    inputs: [{ name: 'x', shape: [1, width], datatype: 'FP32', parameters }],
    parameters: { binary_data_output: true },
  });
  const text = targetOf(server, 'JSON', { path: inferPath('big'), body: inferBody(1, width) });
  const bytes: RawTarget = {
    ...text,
    name: 'bytes',
    body: Buffer.concat([Buffer.from(head), floats]),
    headers: [...(text.headers ?? []), `Inference-Header-Content-Length: ${head.length}`],
  };
  const ratios: number[] = [];
  for (const target of [text, bytes]) await closedLoop(target, 64, 1);
  for (let round = 0; round < ROUNDS; round++) {
    const asText = await closedLoop(text, 64, SECONDS);
    const asBytes = await closedLoop(bytes, 64, SECONDS);
    ratios.push(asBytes.requestsPerSecond / asText.requestsPerSecond);
  }
  console.log(`big MLP, binary tensors over JSON, 64 connections: ${median(ratios).toFixed(2)} (must 2)`);
}

/** What a request pays for a feature: the whole service beside one without it. */
async function benchFeatures(pin: readonly string[]): Promise<void> {
  console.log('CPU µs of a request (small MLP, 64 connections) with all, and less without (must be at most 1):');
  for (const feature of ['keys', 'predictions', 'request-log']) {
    await using whole = await startPinned(pin, 'lane-server', 'on');
    await using lacking = await startPinned(pin, 'lane-server', 'on', `without:${feature}`);
    const target = targetOf(whole, 'whole', SMALL);
    const other = targetOf(lacking, feature, SMALL);
    // Without keys, which refuses one, another header as long: what is told is what is done with the bytes, not their number.
    const unchecked = target.headers?.map((line) => line.replace('Authorization', 'X-Not-Checked'));
    const targets = [target, lacking.key === '-' && unchecked !== undefined ? { ...other, headers: unchecked } : other];
    const samples: [number[], number[]] = [[], []];
    for (const target of targets) await closedLoop(target, 64, 1);
    for (let round = 0; round < ROUNDS; round++) {
      for (const [i, each] of targets.entries()) {
        samples[i]?.push((await closedLoop(each, 64, SECONDS)).cpuMicrosecondsPerRequest);
      }
    }
    const saved = median(samples[0].map((each, i) => each - (samples[1][i] ?? Number.NaN)));
    console.log(`  ${feature.padEnd(12)} ${median(samples[0]).toFixed(1).padStart(6)} ${saved.toFixed(1).padStart(6)}`);
  }
}
