import { expect, it } from 'vitest';
import { ignoreStale, newEvent } from './index.ts';

const delivery = { topic: 't', attempt: 1, signal: new AbortController().signal };
const event = (subject: string, sequence: number) =>
  newEvent({ source: '/assay/test', type: 'x', subject, sequence, data: null });

function collect(options: { maxSubjects?: number } = {}) {
  const seen: string[] = [];
  let failNext = false;
  const handle = ignoreStale(async ({ subject, sequence }) => {
    if (failNext) {
      failNext = false;
      throw new Error('not now');
    }
    seen.push(`${subject}${sequence}`);
  }, options);
  return { seen, handle, failNext: () => (failNext = true) };
}

it('drops what is older than what was handled, and the same event once more', async () => {
  const { seen, handle } = collect();
  const second = event('a', 2);
  for (const each of [event('a', 1), second, event('a', 1), second, event('b', 1), event('a', 3)]) {
    await handle(each, delivery);
  }
  expect(seen).toEqual(['a1', 'a2', 'b1', 'a3']);
});

it('hands out two different events of one revision', async () => {
  const { seen, handle } = collect();
  for (const each of [event('a', 1), event('a', 1)]) await handle(each, delivery);
  expect(seen).toEqual(['a1', 'a1']);
});

it('does not take an event for handled whose handler failed', async () => {
  const { seen, handle, failNext } = collect();
  const only = event('a', 1);
  failNext();
  await expect(handle(only, delivery)).rejects.toThrow('not now');
  await handle(only, delivery);
  expect(seen).toEqual(['a1']);
});

it('remembers no more subjects than it may', async () => {
  const { seen, handle } = collect({ maxSubjects: 2 });
  const [a, b, c] = [event('a', 1), event('b', 1), event('c', 1)];
  for (const each of [a, b, a, c, c, b]) await handle(each, delivery);
  expect(seen).toEqual(['a1', 'b1', 'c1']);
  await handle(a, delivery);
  expect(seen).toEqual(['a1', 'b1', 'c1', 'a1']);
});
