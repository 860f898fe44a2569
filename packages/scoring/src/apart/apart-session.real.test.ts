import { readFileSync } from 'node:fs';
import { attribute, float32Tensor, GraphBuilder } from '@assay/onnx';
import { afterEach, describe, expect, it } from 'vitest';
import { inputTensor, type Results, type Session } from '../session.ts';
import type { ApartOptions } from './apart-session.ts';
import { openPlaced, type SessionPlace } from './open-placed.ts';

const OPTIONS: ApartOptions = { call: 'native', threads: 1, graphOptimization: 'all' };

const opened: Session[] = [];
afterEach(() => {
  for (const session of opened.splice(0)) session.close();
});

async function open(model: Uint8Array, place: SessionPlace, more: Partial<ApartOptions> = {}): Promise<Session> {
  const session = await openPlaced(model, place, { ...OPTIONS, ...more });
  opened.push(session);
  return session;
}

/** Picks the entry of a table that the input names, as text goes in and out too. */
function table(): Uint8Array {
  const graph = new GraphBuilder();
  const index = graph.input('index', 'int64', ['N']);
  const word = graph.input('word', 'string', ['N']);
  graph.node('Gather', [graph.constant(float32Tensor([10, 20, 30], [3])), index], {
    attributes: { axis: attribute.int(0) },
    outputs: ['value'],
  });
  graph.node('Identity', [word], { outputs: ['same'] });
  graph.output('value', 'float32', ['N']);
  graph.output('same', 'string', ['N']);
  return graph.build();
}

function feeds(indices: readonly number[]) {
  return {
    index: inputTensor('int64', BigInt64Array.from(indices, BigInt), [indices.length]),
    word: inputTensor(
      'string',
      indices.map((i) => `word ${i}`),
      [indices.length],
    ),
  };
}

const dataOf = (results: Results) => [Array.from(results.value?.data as Float32Array), results.same?.data];

/** The process of a session is the youngest child that this one has. */
function youngestChild(): number {
  const path = `/proc/${process.pid}/task/${process.pid}/children`;
  const pids = readFileSync(path, 'utf8').trim().split(' ').map(Number);
  return Math.max(...pids);
}

describe.each(['thread', 'process'] as const)('a session in a %s of its own', (place) => {
  it('gives what it gives here, texts and exact integers too', async () => {
    const [here, apart] = [await open(table(), 'loop'), await open(table(), place)];
    expect([apart.inputs, apart.outputs]).toEqual([here.inputs, here.outputs]);
    const expected = dataOf(await here.run(feeds([2, 0, 1]), ['value', 'same']));
    expect(expected).toEqual([
      [30, 10, 20],
      ['word 2', 'word 0', 'word 1'],
    ]);
    expect(dataOf(await apart.run(feeds([2, 0, 1]), ['value', 'same']))).toEqual(expected);
  });

  it('leaves the memory that it was given as it was, and takes a view of a larger one', async () => {
    const apart = await open(table(), place);
    const memory = BigInt64Array.from([9n, 1n, 2n, 9n]);
    const given = { ...feeds([1, 2]), index: inputTensor('int64', memory.subarray(1, 3), [2]) };
    expect(dataOf(await apart.run(given, ['value', 'same']))[0]).toEqual([20, 30]);
    expect(Array.from(memory)).toEqual([9n, 1n, 2n, 9n]);
  });

  it('runs what is asked at once one after another, and gives each its own', async () => {
    const apart = await open(table(), place);
    const answers = await Promise.all([0, 1, 2, 0].map((i) => apart.run(feeds([i]), ['value', 'same'])));
    expect(answers.map((results) => dataOf(results)[0])).toEqual([[10], [20], [30], [10]]);
  });

  it('says why the graph fails on rows, and goes on', async () => {
    const apart = await open(table(), place);
    await expect(apart.run(feeds([7]), ['value'])).rejects.toThrow(/out of data bounds/);
    expect(dataOf(await apart.run(feeds([1]), ['value', 'same']))[0]).toEqual([20]);
  });

  it('refuses a model that does not load, with the runtime’s reason', async () => {
    await expect(openPlaced(Buffer.from('no model'), place, OPTIONS)).rejects.toMatchObject({
      code: 'UNPROCESSABLE_MODEL',
      message: expect.stringMatching(/does not load the model/),
    });
  });
});

describe('a session in a process of its own', () => {
  it('survives its process being killed during a run: the run is done in a new one', async () => {
    const why: string[] = [];
    const apart = await open(table(), 'process', { onEnded: (reason) => why.push(reason) });
    const killed = youngestChild();
    process.kill(killed, 'SIGSTOP'); // so that the run is under way when it is killed
    const running = apart.run(feeds([2]), ['value', 'same']);
    process.kill(killed, 'SIGKILL');
    expect(dataOf(await running)[0]).toEqual([30]);
    expect(why).toEqual(['SIGKILL']);
    expect(youngestChild()).not.toBe(killed);
  });

  it('is refused for a while when its process ends again and again, and serves again afterwards', async () => {
    const apart = await open(table(), 'process');
    const kill = async (): Promise<unknown> => {
      const pid = youngestChild();
      process.kill(pid, 'SIGSTOP');
      const ended = Promise.resolve(apart.run(feeds([0]), ['value', 'same'])).catch((error: unknown) => error);
      process.kill(pid, 'SIGKILL');
      // The run is tried again in the next process, which is killed as well.
      await expect.poll(() => youngestChild(), { interval: 1, timeout: 10_000 }).not.toBe(pid);
      process.kill(youngestChild(), 'SIGKILL');
      return ended;
    };
    expect(String(await kill())).toMatch(/ended the process|being started again/);
    await expect
      .poll(async () => dataOf(await apart.run(feeds([1]), ['value', 'same']))[0], { timeout: 20_000 })
      .toEqual([20]);
  });

  it('ends its process when it is closed', async () => {
    const session = await openPlaced(table(), 'process', OPTIONS);
    const pid = youngestChild();
    session.close();
    await expect.poll(() => isAlive(pid)).toBe(false);
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
