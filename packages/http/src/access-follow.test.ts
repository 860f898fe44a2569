import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KeySnapshot } from '@assay/contracts';
import { createLogger } from '@assay/runtime';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type FollowedKeys, type FollowKeysOptions, followKeys } from './access-follow.ts';
import { makeKey } from './access-under-test.ts';

const [first, second] = [makeKey(['read']), makeKey(['score'])];
const snapshot = (revision: number, ...keys: (typeof first)[]): KeySnapshot => ({
  revision,
  keys: keys.map((key) => key.entry),
});
const away = () => Promise.reject(new Error('connection refused'));

let dir: string;
let cacheFile: string;
let lines: string[];
const opened: FollowedKeys[] = [];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'assay-keys-'));
  cacheFile = join(dir, 'keys.json');
  lines = [];
});
afterEach(async () => {
  vi.restoreAllMocks();
  for (const keys of opened.splice(0)) await keys.close();
  await rm(dir, { recursive: true, force: true });
});

function follow(options: Partial<FollowKeysOptions>): FollowedKeys {
  const log = createLogger({ service: 's', destination: { write: (line: string) => void lines.push(line) } });
  const keys = followKeys({ fetch: away, cacheFile, stalenessMaxMs: 3_600_000, log, ...options });
  opened.push(keys);
  return keys;
}

/** A registry with a long poll, whose snapshot the test changes. */
function registryOf(initial: KeySnapshot) {
  let current = initial;
  let wake = () => {};
  return {
    set(next: KeySnapshot) {
      current = next;
      wake();
    },
    async fetch({ after, waitMs }: { after?: number; waitMs: number }, signal: AbortSignal) {
      if (after === current.revision && waitMs > 0) {
        await new Promise<void>((resolve, reject) => {
          wake = resolve;
          signal.addEventListener('abort', () => reject(signal.reason));
        });
      }
      return after === current.revision ? undefined : current;
    },
  };
}

describe('followed keys', () => {
  it('are there when start resolves, and change as the registry changes them', async () => {
    const registry = registryOf(snapshot(1, first, second));
    const keys = follow({ fetch: registry.fetch });
    await keys.start();
    expect([...keys.current().byId.keys()]).toEqual([first.entry.id, second.entry.id]);
    registry.set(snapshot(2, second));
    await expect.poll(() => [...keys.current().byId.keys()]).toEqual([second.entry.id]);
  });

  it('are held at once after a refresh', async () => {
    let current = snapshot(1, first);
    const keys = follow({ fetch: async ({ after }) => (after === current.revision ? undefined : current) });
    await keys.start();
    current = snapshot(2);
    await keys.refresh(AbortSignal.timeout(5000));
    expect(keys.current().byId.size).toBe(0);
  });

  it('are not put back by an older answer that comes late', async () => {
    const late = Promise.withResolvers<KeySnapshot | undefined>();
    const answers = [Promise.resolve(snapshot(1)), late.promise, Promise.resolve(snapshot(3))];
    const keys = follow({ fetch: async () => answers.shift() });
    await keys.start();
    await keys.refresh(AbortSignal.timeout(5000));
    late.resolve(snapshot(2, first));
    await late.promise;
    await new Promise((resolve) => setImmediate(resolve));
    expect(keys.current().revision).toBe(3);
  });

  it('go back with a registry that was restored from a backup', async () => {
    const registry = registryOf(snapshot(7, first));
    const keys = follow({ fetch: registry.fetch });
    await keys.start();
    registry.set(snapshot(4, second));
    await expect.poll(() => keys.current().revision).toBe(4);
  });

  it('are asked for as a whole after a failure: a restored registry may have others under the same revision', async () => {
    const asked: (number | undefined)[] = [];
    const answers = [snapshot(1, first), undefined, snapshot(1, second)];
    const keys = follow({
      async fetch({ after }) {
        asked.push(after);
        const answer = answers.shift();
        if (answer === undefined && answers.length === 1) throw new Error('connection reset');
        return answer;
      },
    });
    await keys.start();
    await expect.poll(() => [...keys.current().byId.keys()]).toEqual([second.entry.id]);
    expect(asked.slice(0, 3)).toEqual([undefined, 1, undefined]);
  });

  it('are kept in a file that only its owner reads, and serve a start without the registry', async () => {
    const keys = follow({ fetch: registryOf(snapshot(1, first)).fetch });
    await keys.start();
    await expect
      .poll(() =>
        stat(cacheFile).then(
          ({ mode }) => mode & 0o777,
          () => 0,
        ),
      )
      .toBe(0o600);
    expect(await readFile(cacheFile, 'utf8')).not.toContain(first.text.slice(-43));
    await keys.close();
    const again = follow({});
    await again.start();
    expect(again.current().byId.has(first.entry.id)).toBe(true);
  });

  it('hold for so long without the registry, with a warning, and then no more', async () => {
    await keep(snapshot(1, first), Date.now() - 10_000);
    const keys = follow({ stalenessMaxMs: 60_000 });
    await keys.start();
    await expect.poll(() => lines.join('')).toContain('the registry does not confirm the API keys');
    expect(keys.current().byId.size).toBe(1);
    expect(keys.ageMs).toBeGreaterThanOrEqual(10_000);
    const now = Date.now();
    vi.spyOn(Date, 'now').mockReturnValue(now + 60_000);
    expect(() => keys.current()).toThrow(/has not confirmed them for \d+ s, longer than keyStalenessMaxMs allows/);
  });

  it('that are too old at the start are confirmed before they let anyone in', async () => {
    await keep(snapshot(1, first), 1000);
    const stale = follow({});
    await stale.start();
    expect(() => stale.current()).toThrow(/cannot be checked/);
    await stale.close();
    const confirmed = follow({ fetch: async () => undefined });
    await confirmed.start();
    expect(confirmed.current().revision).toBe(1);
  });

  it('are missed, and said to be, when nothing was kept and the registry is away', async () => {
    const keys = follow({});
    await keys.start();
    expect(() => keys.current()).toThrow(/no API key can be checked yet: connection refused/);
  });

  it.each(['', '{', '{"formatVersion":1,"sha256":"00","kept":"{}"}'])(
    'are not read from a damaged file: %j',
    async (text) => {
      await writeFile(cacheFile, text);
      const keys = follow({});
      await keys.start();
      expect(() => keys.current()).toThrow(/no API key can be checked yet/);
      expect(lines.join('')).toContain('starting without the cached API keys');
    },
  );

  it('are not read from a file that was edited', async () => {
    await keep(snapshot(1, first), Date.now());
    const text = await readFile(cacheFile, 'utf8');
    await writeFile(cacheFile, text.replace('read', 'admin'));
    const keys = follow({});
    await keys.start();
    expect(() => keys.current()).toThrow(/no API key can be checked yet/);
  });

  it('with more than this version knows are kept in a form that it reads again', async () => {
    const newer = { revision: 1, keys: [Object.assign({ colour: 'red' }, first.entry)] };
    await keep(newer, Date.now());
    const keys = follow({});
    await keys.start();
    expect(keys.current().byId.size).toBe(1);
  });
});

async function keep(kept: KeySnapshot, confirmedAtMs: number): Promise<void> {
  const { openKeyCache } = await import('./access-cache.ts');
  await openKeyCache(cacheFile).write({ confirmedAtMs, snapshot: kept });
}
