import { describe, expect, it } from 'vitest';
import { walk } from './lineage-walk.ts';

const LIMITS = { maxDepth: 10, maxNodes: 10 };

/** `parents`: id → the ids of the next step. */
async function follow(parents: Readonly<Record<string, readonly string[]>>, start: readonly string[], limits = LIMITS) {
  const reads: string[][] = [];
  const { nodes, truncated } = await walk(
    start,
    {
      async read(ids) {
        reads.push([...ids]);
        return ids.flatMap((id) => (parents[id] === undefined ? [] : [{ id, parents: parents[id] }])).reverse();
      },
      onward: (reached) => reached.flatMap((node) => node.parents),
    },
    limits,
  );
  return { ids: nodes.map(({ id }) => id), truncated, reads };
}

describe('following a graph', () => {
  it('reaches every node once, the nearest first, however many ways lead to it', async () => {
    const diamond = { d: ['b', 'c'], b: ['a'], c: ['a', 'b'], a: [] };
    const { ids, truncated, reads } = await follow(diamond, ['d', 'd']);
    expect(ids).toEqual(['d', 'b', 'c', 'a']);
    expect(truncated).toBe(false);
    expect(reads).toEqual([['d'], ['b', 'c'], ['a']]);
  });

  it('ends in a ring, and passes by what nobody knows', async () => {
    const { ids, truncated } = await follow({ a: ['b', 'gone'], b: ['a'] }, ['a']);
    expect([ids, truncated]).toEqual([['a', 'b'], false]);
  });

  it('says that there is more where it is too far or too wide', async () => {
    const chain = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`${i}`, i === 19 ? [] : [`${i + 1}`]]));
    expect(await follow(chain, ['0'], { maxDepth: 3, maxNodes: 100 })).toMatchObject({
      ids: ['0', '1', '2', '3'],
      truncated: true,
    });
    const fan = { a: ['b', 'c', 'd'], b: [], c: [], d: [] };
    expect(await follow(fan, ['a'], { maxDepth: 9, maxNodes: 3 })).toMatchObject({
      ids: ['a', 'b', 'c'],
      truncated: true,
    });
    expect(await follow(fan, ['a'], { maxDepth: 1, maxNodes: 4 })).toMatchObject({ truncated: false });
  });
});
