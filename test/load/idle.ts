/**
 * What `assay serve` holds and how soon it is ready while nobody asks it anything, beside the parts that it cannot do
 * without: Node, a bare Fastify with one route, and that with a session of the same model.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { temporaryFolder } from '../parts/assay.ts';
import { median } from './generator.ts';
import { perceptron } from './perceptron.ts';
import { pinning, startPinned } from './pinned.ts';
import { residentMegabytes } from './processes.ts';

const ROUNDS = 5;
/** What a start still does after it is ready is over by then. */
const SETTLE_MS = 1000;

interface Idle {
  readonly residentMb: number;
  readonly readyMs: number;
}

export async function benchIdle(): Promise<void> {
  const pin = [...pinning(), 'env', 'ASSAY_LOG_LEVEL=warn'];
  await using folder = await temporaryFolder();
  const model = join(folder.path, 'small.onnx');
  await writeFile(model, perceptron([30, 32, 2], 'one'));
  const rows = [
    { name: 'Node', start: ['idle-server', 'node'] },
    { name: 'Fastify, one route', start: ['idle-server', 'fastify'] },
    { name: 'the same and a session', start: ['idle-server', 'session', model] },
    { name: 'assay serve', start: ['cli', 'serve', `small=${model}`, '--http', '0', '--json'] },
  ].map((row) => ({ ...row, rounds: [] as Idle[] }));
  for (let round = -1; round < ROUNDS; round++) {
    for (const { start, rounds } of rows) {
      const idle = await startAndRest(pin, start);
      if (round >= 0) rounds.push(idle); // the first builds and fills the caches
    }
  }
  console.log(`\nidle: resident memory and time until ready, medians of ${ROUNDS} starts, with the flags of the image`);
  console.log('                              MB   ready ms');
  for (const { name, rounds } of rows) {
    const [mb, ms] = [median(rounds.map((each) => each.residentMb)), median(rounds.map((each) => each.readyMs))];
    console.log(`  ${name.padEnd(24)} ${mb.toFixed(0).padStart(5)} ${ms.toFixed(0).padStart(10)}`);
  }
}

async function startAndRest(pin: readonly string[], [script = '', ...args]: readonly string[]): Promise<Idle> {
  const startedMs = performance.now();
  await using server = await startPinned(pin, script, ...args);
  const readyMs = performance.now() - startedMs;
  await delay(SETTLE_MS);
  return { residentMb: residentMegabytes(server.pid), readyMs };
}

if (import.meta.main) await benchIdle();
