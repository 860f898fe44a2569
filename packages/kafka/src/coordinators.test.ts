import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { rememberCoordinators } from './coordinators.ts';

let asked: string[] = [];
let answer: () => Promise<unknown>;

const Cluster = rememberCoordinators(
  class {
    async findGroupCoordinatorMetadata({ groupId, coordinatorType }: { groupId: string; coordinatorType?: number }) {
      asked.push(`${groupId} ${coordinatorType}`);
      return answer();
    }
    async refreshMetadata(): Promise<void> {}
  },
);

beforeEach(() => {
  asked = [];
  answer = async () => ({ coordinator: { nodeId: 1 } });
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => vi.useRealTimers());

test('who coordinates is asked once a second, each id and kind apart', async () => {
  const cluster = new Cluster();
  const find = (groupId: string, coordinatorType: number) =>
    cluster.findGroupCoordinatorMetadata({ groupId, coordinatorType });
  for (let i = 0; i < 5; i++) for (const kind of [0, 1]) await find('a', kind);
  await find('b', 0);
  expect(asked).toEqual(['a 0', 'a 1', 'b 0']);
  vi.advanceTimersByTime(999);
  expect(await find('a', 0)).toEqual({ coordinator: { nodeId: 1 } });
  expect(asked.length).toBe(3);
  vi.advanceTimersByTime(1);
  await find('a', 0);
  expect(asked.length).toBe(4);
});

test('it is asked anew when the metadata of the cluster is, and when there was no answer', async () => {
  const cluster = new Cluster();
  await cluster.findGroupCoordinatorMetadata({ groupId: 'a' });
  await cluster.refreshMetadata();
  answer = () => Promise.reject(new Error('not available'));
  await expect(cluster.findGroupCoordinatorMetadata({ groupId: 'a' })).rejects.toThrow('not available');
  answer = async () => 'here again';
  expect(await cluster.findGroupCoordinatorMetadata({ groupId: 'a' })).toBe('here again');
  expect(asked.length).toBe(3);
});

test('what is remembered is bounded', async () => {
  const cluster = new Cluster();
  for (let i = 0; i < 101; i++) await cluster.findGroupCoordinatorMetadata({ groupId: `g${i}` });
  await cluster.findGroupCoordinatorMetadata({ groupId: 'g100' });
  expect(asked.length).toBe(101);
  await cluster.findGroupCoordinatorMetadata({ groupId: 'g0' });
  expect(asked.length).toBe(102);
});
