import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { createTurns, rowsWithin, sliceRows } from './turns.ts';

const never = new AbortController().signal;

describe('turns', () => {
  test('one slice runs at a time, in the order in which they came', async () => {
    const turns = createTurns(() => 0);
    const log: string[] = [];
    const slice = (name: string) => async () => {
      log.push(`${name} begins`);
      await nextTurn();
      log.push(`${name} ends`);
    };
    await Promise.all(['a', 'b', 'c'].map((name) => turns.take(slice(name), never)));
    expect(log).toEqual(['a', 'b', 'c'].flatMap((name) => [`${name} begins`, `${name} ends`]));
  });

  test('a slice waits until no rows wait', async () => {
    let queued = 1;
    const turns = createTurns(() => queued);
    let ran = false;
    const slice = turns.take(async () => {
      ran = true;
      return queued;
    }, never);
    for (let i = 0; i < 5; i++) await nextTurn();
    expect(ran).toBe(false);
    queued = 0;
    expect(await slice).toBe(0);
  });

  test('requests without end do not stop it for ever', async () => {
    const turns = createTurns(() => 1);
    expect(await turns.take(async () => 'ran', never)).toBe('ran');
  });

  test('a slice that fails, or is given up while it waits, holds up no other', async () => {
    let queued = 0;
    const turns = createTurns(() => queued);
    await expect(turns.take(() => Promise.reject(new Error('no')), never)).rejects.toThrow('no');
    queued = 1;
    const leave = new AbortController();
    const given = turns.take(async () => 'never', leave.signal);
    const next = turns.take(async () => 'next', never);
    leave.abort();
    await expect(given).rejects.toThrow();
    queued = 0;
    expect(await next).toBe('next');
  });
});

describe('a slice has', () => {
  test('a full batch of a cheap model', () => {
    expect(sliceRows({ measured: { oneRowMs: 0.02, fullBatchMs: 0.5 }, maxBatchRows: 64 })).toBe(64);
  });
  test('as many rows of a dearer one as a short run takes', () => {
    expect(sliceRows({ measured: { oneRowMs: 0.2, fullBatchMs: 12.8 }, maxBatchRows: 64 })).toBe(10);
  });
  test('a full batch where rows cost nothing beside the run itself', () => {
    expect(sliceRows({ measured: { oneRowMs: 5, fullBatchMs: 5.5 }, maxBatchRows: 64 })).toBe(64);
  });
  test('a row or two where even one takes long', () => {
    expect(sliceRows({ measured: { oneRowMs: 10, fullBatchMs: 640 }, maxBatchRows: 64 })).toBe(2);
  });
  test('one row of a version that runs row by row', () => {
    expect(sliceRows({ measured: { oneRowMs: 1, fullBatchMs: 1 }, maxBatchRows: 1 })).toBe(1);
  });
});

test('a chunk is no more than is scored in time, and one record at least', () => {
  expect(rowsWithin({ measured: { oneRowMs: 1, fullBatchMs: 64 }, maxBatchRows: 64 }, 500)).toBe(500);
  expect(rowsWithin({ measured: { oneRowMs: 2000, fullBatchMs: 9000 }, maxBatchRows: 4 }, 500)).toBe(1);
});
