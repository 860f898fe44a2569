import { expect, it } from 'vitest';
import { createWriteLock } from './write-lock.ts';

it('gives turns in the order of asking, one at a time', async () => {
  const lock = createWriteLock('test');
  const order: number[] = [];
  let holders = 0;
  await Promise.all(
    Array.from({ length: 20 }, async (_, i) => {
      const end = await lock.acquire({ timeoutMs: 10_000 });
      expect(++holders).toBe(1);
      order.push(i);
      await new Promise((resolve) => setImmediate(resolve));
      holders--;
      end();
      end(); // a second end must not end the turn of another
    }),
  );
  expect(order).toEqual(Array.from({ length: 20 }, (_, i) => i));
});

it('does not wait for ever, and those behind go on', async () => {
  const lock = createWriteLock('test.sqlite');
  const end = await lock.acquire({ timeoutMs: 10_000 });
  const patient = lock.acquire({ timeoutMs: 10_000 });
  const late = lock.acquire({ timeoutMs: 1 });
  await expect(late).rejects.toThrow('database test.sqlite: waited 1 ms for the transactions ahead; try again');
  end();
  (await patient)();
  (await lock.acquire({ timeoutMs: 10_000 }))();
});
