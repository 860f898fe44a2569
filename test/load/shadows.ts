/**
 * What a shadow costs those who are answered: a server whose small MLP has one that is given every request, beside a server
 * where it has none, in turns. With so many connections the core is full, so that all that the shadow takes is seen.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { closedLoop } from './closed-loop.ts';
import { median, type Sample } from './generator.ts';
import { ROUNDS, SECONDS, SMALL, targetOf } from './lane.ts';
import { type PinnedServer, pinning, startPinned } from './pinned.ts';
import { cpuMicroseconds } from './processes.ts';

const SHADOWS = [
  { name: 'of the same size, on the loop', words: 'shadow:same' },
  { name: 'a large one, in a thread', words: 'shadow:large' },
];
const CONNECTIONS = [1, 16, 64];
const WARM_UP_SECONDS = 3;

export async function benchShadows(): Promise<void> {
  const pin = pinning();
  console.log(
    '\nThe small MLP with a shadow of 100 % beside none, all on one core (must: 0.75 of the requests a second, by a shadow on the loop)',
  );
  console.log(
    'shadow                            conn.   none req/s  with/none   p99 ms none    with  with/none   µs CPU none    with  compared',
  );
  await using alone = await startPinned(pin, 'lane-server', 'on');
  await closedLoop(targetOf(alone, 'no shadow', SMALL), SMALL.connections, WARM_UP_SECONDS);
  for (const { name, words } of SHADOWS) {
    await using shadowed = await startPinned(pin, 'lane-server', 'on', words);
    await closedLoop(targetOf(shadowed, name, SMALL), SMALL.connections, WARM_UP_SECONDS);
    for (const connections of CONNECTIONS) await benchRow(name, connections, alone, shadowed);
  }
}

async function benchRow(name: string, connections: number, alone: PinnedServer, shadowed: PinnedServer): Promise<void> {
  const targets = [targetOf(alone, 'no shadow', SMALL), targetOf(shadowed, name, SMALL)] as const;
  const samples: [Sample[], Sample[]] = [[], []];
  const before = await rowsByOutcome(shadowed);
  for (let round = 0; round < ROUNDS; round++) {
    for (const i of [0, 1] as const) {
      samples[i].push(await closedLoop(targets[i], connections, SECONDS));
      await untilIdle(targets[i].pid); // what still waits for the shadow is no load of the next one's seconds
    }
  }
  const after = await rowsByOutcome(shadowed);
  const [none, one] = samples;
  const of = (from: readonly Sample[], key: keyof Sample) => median(from.map((each) => each[key]));
  const ratio = (key: keyof Sample) => median(one.map((each, i) => each[key] / (none[i]?.[key] ?? Number.NaN)));
  const [compared, given] = [after.compared - before.compared, after.all - before.all];
  console.log(
    [
      name.padEnd(33),
      String(connections).padStart(5),
      of(none, 'requestsPerSecond').toFixed(0).padStart(12),
      ratio('requestsPerSecond').toFixed(2).padStart(10),
      of(none, 'p99Ms').toFixed(2).padStart(13),
      of(one, 'p99Ms').toFixed(2).padStart(7),
      ratio('p99Ms').toFixed(2).padStart(10),
      of(none, 'cpuMicrosecondsPerRequest').toFixed(1).padStart(13),
      of(one, 'cpuMicrosecondsPerRequest').toFixed(1).padStart(7),
      `${((100 * compared) / given).toFixed(0)} %`.padStart(9),
    ].join(' '),
  );
}

async function untilIdle(pid: number): Promise<void> {
  for (let before = -1, now = cpuMicroseconds(pid); now > before; now = cpuMicroseconds(pid)) {
    before = now;
    await pause(200);
  }
}

/** What became of the rows that the shadow was to score. */
async function rowsByOutcome({ url, key }: PinnedServer): Promise<{ compared: number; all: number }> {
  const answer = await fetch(`${url}/metrics`, { headers: { Authorization: `Bearer ${key}` } });
  const lines = (await answer.text()).matchAll(/^assay_inference_shadow_rows_total\{.*outcome="(\w+)"\} (\d+)$/gm);
  const counts = { compared: 0, all: 0 };
  for (const [, outcome, rows] of lines) {
    counts.all += Number(rows);
    if (outcome === 'compared') counts.compared += Number(rows);
  }
  return counts;
}

if (import.meta.main) await benchShadows();
