/** What every launcher must do, run by vitest against the real thing, with `conformance-job.ts` as its job. */
import { AssayError } from '@assay/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Behaviour } from './conformance-job.ts';
import type { LaunchExit, Launcher, Observation } from './launcher.ts';

export interface LauncherUnderTest {
  readonly launcher: Launcher;
  /** Another launcher on the same place, as the same service has after its restart. */
  reopen(): Promise<Launcher>;
  cleanup(): Promise<void>;
}

const WAIT_MS = 60_000;
const LONG_GRACE_MS = 30_000;

/** Observes until `is` holds. */
export async function observeUntil(
  launcher: Launcher,
  id: string,
  is: (seen: Observation) => boolean,
): Promise<Observation> {
  const giveUpAt = performance.now() + WAIT_MS;
  for (;;) {
    const seen = await launcher.observe(id);
    if (is(seen)) return seen;
    if (performance.now() > giveUpAt) throw new Error(`${id} is still ${JSON.stringify(seen)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export async function exitOf(launcher: Launcher, id: string): Promise<LaunchExit> {
  const seen = await observeUntil(launcher, id, ({ state }) => state === 'exited');
  if (seen.state !== 'exited') throw new Error('unreachable');
  return seen.exit;
}

export async function logOf(launcher: Launcher, id: string, options: { follow?: boolean } = {}): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of launcher.logs(id, options)) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

/** Follows the log until it holds `text`. */
export async function logged(launcher: Launcher, id: string, text: string): Promise<string> {
  let log = '';
  for await (const chunk of launcher.logs(id, { follow: true, signal: AbortSignal.timeout(WAIT_MS) })) {
    log += Buffer.from(chunk).toString('utf8');
    if (log.includes(text)) return log;
  }
  throw new Error(`${id} ended without printing "${text}": ${log}`);
}

export function describeLauncher(name: string, open: () => Promise<LauncherUnderTest>): void {
  describe(`launcher on ${name}`, () => {
    let under: LauncherUnderTest;
    let launcher: Launcher;
    let launches = 0;
    beforeAll(async () => {
      under = await open();
      launcher = under.launcher;
    });
    afterAll(() => under.cleanup());

    async function launch(
      behaviour: Behaviour,
      more: { timeoutMs?: number; environment?: Record<string, string> } = {},
    ) {
      const id = `job_${++launches}.1`;
      await launcher.launch({ id, spec: behaviour, ...more });
      return id;
    }
    const running = (id: string) => observeUntil(launcher, id, ({ state }) => state === 'running');

    it('runs a job with its spec and id, keeps what it prints, and says that it succeeded', async () => {
      const before = Date.now();
      const id = await launch({ do: 'print', text: 'Zürich ✈' });
      const exit = await exitOf(launcher, id);
      expect(exit.outcome).toBe('succeeded');
      expect(exit.endedAtMs).toBeGreaterThanOrEqual(before);
      const log = await logOf(launcher, id);
      expect(log).toContain('Zürich ✈\n');
      expect(log).toContain(`id ${id}\n`);
    });

    it('launches an id once, however often and at once it is asked', async () => {
      const request = { id: 'job_once.1', spec: { do: 'run-once' } };
      await Promise.all([launcher.launch(request), launcher.launch(request)]);
      expect((await exitOf(launcher, request.id)).outcome).toBe('succeeded');
      await launcher.launch(request);
      expect(await launcher.observe(request.id)).toMatchObject({ state: 'exited', exit: { outcome: 'succeeded' } });
      expect(await logOf(launcher, request.id)).toBe('ran\n');
    });

    it.each([
      ['data', 'data', false, 'flights.csv:7: expected 5 columns'],
      ['configuration', 'configuration', false, 'did you mean "model"?'],
      ['unavailable', 'internal', true, 'the registry cannot be reached'],
      ['bug', 'internal', false, 'TypeError: x is not a function'],
      ['unheard-promise', 'internal', false, 'nobody heard'],
    ] as const)('says why a job failed: %s', async (as, kind, retryable, message) => {
      const id = await launch({ do: 'fail', as });
      expect(await exitOf(launcher, id)).toMatchObject({ outcome: 'failed', failure: { kind, retryable } });
      expect(await exitOf(launcher, id)).toHaveProperty('failure.message', expect.stringContaining(message));
      expect(await logOf(launcher, id)).toContain(message);
    });

    it('takes a process that ends without a word as failed, also with exit code 0', async () => {
      const failed = await exitOf(launcher, await launch({ do: 'exit', code: 3 }));
      expect(failed).toMatchObject({ outcome: 'failed', failure: { kind: 'internal', retryable: false } });
      expect(failed).toHaveProperty('failure.message', expect.stringContaining('exit code 3'));
      expect(await exitOf(launcher, await launch({ do: 'exit', code: 0 }))).toMatchObject({ outcome: 'failed' });
    });

    it.each(['SIGSEGV', 'SIGABRT'] as const)('tells a native crash by %s', async (signal) => {
      const exit = await exitOf(launcher, await launch({ do: 'signal-itself', signal }));
      expect(exit).toMatchObject({ outcome: 'failed', failure: { kind: 'crash' } });
      expect(exit).toHaveProperty('failure.message', expect.stringContaining(signal));
    });

    it('tells that memory ran out', async () => {
      const exit = await exitOf(launcher, await launch({ do: 'fill-the-heap' }));
      expect(exit).toMatchObject({ outcome: 'failed', failure: { kind: 'out-of-memory', retryable: false } });
    });

    it('takes a kill from outside for lost or out of memory, never for success', async () => {
      const exit = await exitOf(launcher, await launch({ do: 'signal-itself', signal: 'SIGKILL' }));
      expect(exit.outcome).toBe('failed');
      expect(exit).toHaveProperty('failure.kind', expect.stringMatching(/^(lost|out-of-memory)$/));
    });

    it('stops a job that listens', async () => {
      const id = await launch({ do: 'wait' });
      await logged(launcher, id, 'waiting');
      await launcher.cancel(id, { graceMs: LONG_GRACE_MS });
      expect(await launcher.observe(id)).toMatchObject({ state: 'exited', exit: { outcome: 'cancelled' } });
      await launcher.cancel(id, { graceMs: 0 });
      expect(await launcher.observe(id)).toMatchObject({ state: 'exited', exit: { outcome: 'cancelled' } });
    });

    it('stops a job that does not listen, when the grace is over', async () => {
      const id = await launch({ do: 'block' });
      await logged(launcher, id, 'blocking');
      await launcher.cancel(id, { graceMs: 100 });
      expect(await launcher.observe(id)).toMatchObject({ state: 'exited', exit: { outcome: 'cancelled' } });
    });

    it('stops a job at its time limit', async () => {
      const exit = await exitOf(launcher, await launch({ do: 'wait' }, { timeoutMs: 1500 }));
      expect(exit).toMatchObject({ outcome: 'failed', failure: { kind: 'deadline' } });
      expect(exit).toHaveProperty('failure.message', expect.stringContaining('1500 ms'));
    });

    it('gives a job its own environment, and nothing of the secrets of its service', async () => {
      process.env.ASSAY_TEST_SECRET = 'platform-secret';
      try {
        const id = await launch({ do: 'print-environment' }, { environment: { ASSAY_JOB_TOKEN: 'token-of-this-job' } });
        expect((await exitOf(launcher, id)).outcome).toBe('succeeded');
        const [environment, argv] = (await logOf(launcher, id)).split('\n');
        expect(environment).toContain('"ASSAY_JOB_TOKEN":"token-of-this-job"');
        expect(environment).toContain('"PATH":');
        expect(environment).not.toContain('platform-secret');
        expect(argv).toContain('node');
        expect(argv).not.toContain('token-of-this-job');
      } finally {
        delete process.env.ASSAY_TEST_SECRET;
      }
    });

    it('tells the trace of a job at the beginning of its log, and passes it on to its calls', async () => {
      const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
      const environment = { TRACEPARENT: `00-${traceId}-00f067aa0ba902b7-01`, TRACESTATE: 'a=1' };
      const traced = await launch({ do: 'print-trace' }, { environment });
      const untraced = await launch({ do: 'print-trace' });
      for (const id of [traced, untraced]) expect((await exitOf(launcher, id)).outcome).toBe('succeeded');
      const [first, call] = (await logOf(launcher, traced)).split('\n');
      expect(first).toMatch(new RegExp(`^\\d{4}-\\d\\d-\\d\\dT\\S+Z trace ${traceId}$`));
      expect(call).toMatch(
        new RegExp(`"traceparent":"00-${traceId}-(?!00f067aa0ba902b7)[0-9a-f]{16}-01","tracestate":"a=1"`),
      );
      expect(await logOf(launcher, untraced)).toBe('a call has null\n');
    });

    it('follows a log until the job has ended, and misses nothing of it', async () => {
      const id = await launch({ do: 'print-slowly', lines: 20 });
      const log = await logOf(launcher, id, { follow: true });
      expect(log).toBe(Array.from({ length: 20 }, (_, line) => `line ${line}\n`).join(''));
      expect(await launcher.observe(id)).toMatchObject({ state: 'exited' });
    });

    it('stops following when the signal aborts', async () => {
      const id = await launch({ do: 'wait' });
      const controller = new AbortController();
      const follow = (async () => {
        for await (const _ of launcher.logs(id, { follow: true, signal: controller.signal })) controller.abort();
      })();
      await expect(follow).rejects.toThrow(/abort/i);
      await launcher.cancel(id, { graceMs: LONG_GRACE_MS });
    });

    it('tells when a launch has ended', async () => {
      const changed: string[] = [];
      const stop = launcher.onChange((id) => changed.push(id));
      const id = await launch({ do: 'print', text: '' });
      await exitOf(launcher, id);
      await expect.poll(() => changed, { timeout: WAIT_MS }).toContain(id);
      stop();
    });

    it('knows after a restart what it had launched', async () => {
      const id = await launch({ do: 'print', text: 'before' });
      await exitOf(launcher, id);
      const reopened = await under.reopen();
      expect(await reopened.observe(id)).toMatchObject({ state: 'exited', exit: { outcome: 'succeeded' } });
      expect(await logOf(reopened, id)).toContain('before');
    });

    it('knows nothing of what was never launched', async () => {
      expect(await launcher.observe('job_never.1')).toEqual({ state: 'absent' });
      await launcher.cancel('job_never.1', { graceMs: 0 });
      await expect(logOf(launcher, 'job_never.1')).rejects.toThrow('there is no launch job_never.1');
    });

    it.each(['', '..', '../up', 'a/b', 'A', '.hidden', 'a\0', 'a'.repeat(101)])('refuses the id %j', async (id) => {
      const refused = launcher.launch({ id, spec: {} });
      await expect(refused).rejects.toThrow('is no launch id');
      await expect(refused).rejects.toBeInstanceOf(AssayError);
      await expect(launcher.observe(id)).rejects.toThrow('is no launch id');
    });

    it('says that a job runs while it runs', async () => {
      const id = await launch({ do: 'wait' });
      expect(await running(id)).toMatchObject({ state: 'running', startedAtMs: expect.any(Number) });
      await launcher.cancel(id, { graceMs: LONG_GRACE_MS });
    });
  });
}
