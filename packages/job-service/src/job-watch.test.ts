import { expect, test } from 'vitest';
import { createJobWatch } from './job-watch.ts';

const { signal } = new AbortController();

test('who waits for a job is woken by its change, and by no other', async () => {
  const watch = createJobWatch({ maxWaiters: 2 });
  const order: string[] = [];
  const first = watch.wait('a', 60_000, signal).then(() => order.push('a'));
  const second = watch.wait('b', 60_000, signal).then(() => order.push('b'));
  watch.changed('b');
  await second;
  watch.changed('a');
  await first;
  expect(order).toEqual(['b', 'a']);
});

test('a wait ends with its time, with its caller, and with the watch', async () => {
  const watch = createJobWatch({ maxWaiters: 2 });
  await watch.wait('a', 1, signal);
  const caller = new AbortController();
  const gone = watch.wait('a', 60_000, caller.signal);
  caller.abort(new Error('gone'));
  await expect(gone).rejects.toThrow('gone');
  const last = watch.wait('a', 60_000, signal);
  watch.close();
  await last;
  await watch.wait('a', 60_000, signal);
});

test('one too many is told to come back', async () => {
  const watch = createJobWatch({ maxWaiters: 1 });
  const waiting = watch.wait('a', 60_000, signal);
  await expect(watch.wait('b', 60_000, signal)).rejects.toMatchObject({ code: 'OVERLOADED', retryAfterMs: 1000 });
  watch.close();
  await waiting;
});
