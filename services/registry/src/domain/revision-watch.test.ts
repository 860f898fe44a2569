import { describe, expect, it } from 'vitest';
import { createRevisionWatch } from './revision-watch.ts';

const never = new AbortController().signal;
const LONG_MS = 60_000;

describe('waiting for a routing change', () => {
  it('answers at once when the revision is higher already, or when there is nothing to wait for', async () => {
    const watch = createRevisionWatch({ revision: 5, maxWaiters: 1 });
    await watch.waitBeyond(4, LONG_MS, never);
    await watch.waitBeyond(5, 0, never);
    expect(watch.waiters).toBe(0);
  });

  it('wakes all who wait when the revision grows, and only then', async () => {
    const watch = createRevisionWatch({ revision: 5, maxWaiters: 10 });
    const woken: number[] = [];
    const waits = [5, 5, 6].map((after) => watch.waitBeyond(after, LONG_MS, never).then(() => woken.push(after)));
    watch.advance(5);
    await Promise.resolve();
    expect(woken).toEqual([]);
    watch.advance(6);
    await Promise.all(waits.slice(0, 2));
    watch.close();
    await Promise.all(waits);
    expect(watch.waiters).toBe(0);
  });

  it('lets a bounded number wait and refuses the next with a time to come back', async () => {
    const watch = createRevisionWatch({ revision: 0, maxWaiters: 2 });
    const waits = [watch.waitBeyond(0, LONG_MS, never), watch.waitBeyond(0, LONG_MS, never)];
    await expect(watch.waitBeyond(0, LONG_MS, never)).rejects.toMatchObject({ code: 'OVERLOADED', retryAfterMs: 1000 });
    watch.close();
    await Promise.all(waits);
  });

  it('forgets who went away', async () => {
    const watch = createRevisionWatch({ revision: 0, maxWaiters: 2 });
    const caller = new AbortController();
    const wait = watch.waitBeyond(0, LONG_MS, caller.signal);
    caller.abort(new Error('gone'));
    await expect(wait).rejects.toThrow('gone');
    expect(watch.waiters).toBe(0);
  });

  it('lets none wait any more once it is closed', async () => {
    const watch = createRevisionWatch({ revision: 0, maxWaiters: 2 });
    watch.close();
    await watch.waitBeyond(0, LONG_MS, never);
    expect(watch.waiters).toBe(0);
  });
});
