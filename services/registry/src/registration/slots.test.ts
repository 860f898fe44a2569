import { describe, expect, it } from 'vitest';
import { createSlots } from './slots.ts';

const never = new AbortController().signal;

/** Work that ends when it is told to. */
function work() {
  const { promise, resolve } = Promise.withResolvers<void>();
  let begun = false;
  return {
    run: () => {
      begun = true;
      return promise;
    },
    end: resolve,
    get begun() {
      return begun;
    },
  };
}

describe('slots', () => {
  it('run so many at once, and the next in the order of asking', async () => {
    const slots = createSlots({ slots: 1, maxWaiting: 2 });
    const [one, two, three] = [work(), work(), work()];
    const all = [one, two, three].map((each) => slots.use(each.run, never));
    await Promise.resolve();
    expect([one.begun, two.begun, three.begun]).toEqual([true, false, false]);
    one.end();
    await all[0];
    await Promise.resolve();
    expect([two.begun, three.begun]).toEqual([true, false]);
    two.end();
    three.end();
    await Promise.all(all);
  });

  it('refuse what would wait behind too many', async () => {
    const slots = createSlots({ slots: 1, maxWaiting: 0 });
    const one = work();
    const running = slots.use(one.run, never);
    await expect(slots.use(async () => {}, never)).rejects.toMatchObject({ code: 'OVERLOADED' });
    one.end();
    await running;
    await slots.use(async () => {}, never);
  });

  it('are given back by work that fails, and by those who stop waiting', async () => {
    const slots = createSlots({ slots: 1, maxWaiting: 1 });
    await expect(slots.use(() => Promise.reject(new Error('no')), never)).rejects.toThrow('no');
    const one = work();
    const running = slots.use(one.run, never);
    const caller = new AbortController();
    const waiting = slots.use(async () => 'never', caller.signal);
    caller.abort(new Error('gone'));
    await expect(waiting).rejects.toThrow('gone');
    one.end();
    await running;
    expect(await slots.use(async () => 'next', never)).toBe('next');
  });
});
