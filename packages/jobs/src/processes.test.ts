import { describe, expect, test } from 'vitest';
import { countKilledForMemory } from './processes.ts';

const V1 = '4:memory:/docker/1a2b\n1:cpu,cpuacct:/docker/1a2b\n0::/docker/1a2b\n';
const OOM_CONTROL = 'oom_kill_disable 0\nunder_oom 0\noom_kill 3\n';

function counted(files: Readonly<Record<string, string>>): number | undefined {
  return countKilledForMemory((path) => files[path]);
}

describe('how often the system has killed for memory', () => {
  test('is told by cgroup v2', () => {
    const events = 'low 0\nmax 9\noom 2\noom_kill 2\noom_group_kill 0\n';
    expect(counted({ '/proc/self/cgroup': '0::/job\n', '/sys/fs/cgroup/job/memory.events': events })).toBe(2);
  });

  test.each(['/sys/fs/cgroup/memory/docker/1a2b/memory.oom_control', '/sys/fs/cgroup/memory/memory.oom_control'])(
    'is told by cgroup v1: %s',
    (path) => {
      expect(counted({ '/proc/self/cgroup': V1, [path]: OOM_CONTROL })).toBe(3);
    },
  );

  test('is unknown where no file tells, or an old kernel does not count', () => {
    expect(counted({})).toBeUndefined();
    expect(counted({ '/proc/self/cgroup': V1 })).toBeUndefined();
    const old = { '/sys/fs/cgroup/memory/memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\n' };
    expect(counted({ '/proc/self/cgroup': V1, ...old })).toBeUndefined();
  });
});
