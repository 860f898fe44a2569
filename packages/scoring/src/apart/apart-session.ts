/**
 * A session that runs apart from the thread that asks it, so that a long run holds up nothing else; in a process of its
 * own, also so that a model which crashes takes nothing else along.
 *
 * When the host of the session ends by itself, the run under way is tried once more in a new one: it may have been killed
 * for its memory, or by hand. A run that ends that one too is the fault of its rows. Hosts that end again and again are
 * started with growing pauses, in which runs are refused.
 */
import { AssayError } from '@assay/contracts';
import type { Feeds, Results, Session, SessionOptions, TensorInfo } from '../session.ts';
import { plainOf, tensorsOf } from './host.ts';
import type { PlainTensors } from './messages.ts';
import type { Peer, StartPeer } from './peers.ts';

export interface ApartOptions extends SessionOptions {
  /** Told whenever the host ended by itself. It must not throw. */
  readonly onEnded?: (why: string) => void;
}

/** Where it runs. */
export interface ApartPlace {
  readonly start: StartPeer;
  /** Whether a host that ended is followed by another one; the model is kept in memory for it. */
  readonly restarts: boolean;
}

/** A longer run is a host that hangs: it is killed where it can be. */
const RUN_TIMEOUT_MS = 120_000;
/** The pause after the second end in a row; it doubles with each more. */
const FIRST_PAUSE_MS = 200;
const MAX_PAUSE_MS = 30_000;

/**
 * Opens a model in a host of its own.
 * @throws AssayError UNPROCESSABLE_MODEL when it does not load, or ends what loads it
 */
export async function openApart(model: Uint8Array, options: ApartOptions, place: ApartPlace): Promise<Session> {
  const { onEnded, ...plain } = options;
  /** For the next host. A model may be large, and is held by the first one already. */
  let kept: Uint8Array | undefined = model;
  let closed = false;
  /** Ends in a row without a run that succeeded between them. */
  let ends = 0;
  let notBeforeMs = 0;

  const hasEnded = (why: string): void => {
    ends++;
    if (ends > 1) notBeforeMs = performance.now() + Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (ends - 2));
    onEnded?.(why);
  };
  const open = (bytes: Uint8Array): Promise<Host> =>
    openHost(bytes, plain, place.start, (host, why) => {
      if (closed || current !== host) return;
      current = undefined;
      hasEnded(why);
    });
  const first = await open(model);
  if (!place.restarts) kept = undefined;
  let current: Host | undefined = first;
  let starting: Promise<Host> | undefined;

  async function host(): Promise<Host> {
    if (current !== undefined) return current;
    if (kept === undefined) throw new AssayError('INTERNAL', 'what ran the model has ended');
    const leftMs = notBeforeMs - performance.now();
    if (leftMs > 0) throw startingAgain('it ended again and again', leftMs);
    starting ??= restart(kept).finally(() => {
      starting = undefined;
    });
    return starting;
  }

  async function restart(bytes: Uint8Array): Promise<Host> {
    try {
      const started = await open(bytes);
      if (closed) started.close();
      else current = started;
      return started;
    } catch (cause) {
      const why = AssayError.from(cause).message;
      hasEnded(why);
      throw startingAgain(why, FIRST_PAUSE_MS);
    }
  }

  return {
    call: options.call,
    isSynchronous: false,
    inputs: first.inputs,
    outputs: first.outputs,
    async run(feeds, outputNames) {
      for (let attempt = 1; ; attempt++) {
        const asked = await host();
        try {
          const results = await asked.run(feeds, outputNames);
          ends = 0;
          return results;
        } catch (error) {
          if (!(error instanceof HostEnded) || attempt === 2) throw error;
        }
      }
    },
    close() {
      closed = true;
      current?.close();
    },
  };
}

function startingAgain(why: string, retryAfterMs: number): AssayError {
  return new AssayError('UNAVAILABLE', `the process of the model is being started again: ${why}`, {
    retryAfterMs: Math.ceil(retryAfterMs),
  });
}

/** Thrown as it is, it is a failure of the rows: `the model fails on these records: …`. */
class HostEnded extends Error {
  constructor(why: string) {
    super(`it ended the process that ran it: ${why}`);
  }
}

interface Host {
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  /** @throws HostEnded; an Error with the runtime's reason */
  run(feeds: Feeds, outputNames: readonly string[]): Promise<Results>;
  close(): void;
}

interface PendingRun {
  resolve(results: PlainTensors): void;
  reject(error: Error): void;
}

function openHost(
  model: Uint8Array,
  options: SessionOptions,
  start: StartPeer,
  ended: (host: Host, why: string) => void,
): Promise<Host> {
  return new Promise((resolve, reject) => {
    const pending = new Map<number, PendingRun>();
    let number = 0;
    let host: Host | undefined;
    let isOver = false;
    const peer: Peer = start({
      onMessage(message) {
        switch (message.type) {
          case 'opened':
            host = {
              inputs: message.inputs,
              outputs: message.outputs,
              run: async (feeds, outputNames) => tensorsOf(await run(feeds, outputNames)),
              close: () => peer.tell({ type: 'close' }),
            };
            resolve(host);
            break;
          case 'refused':
            peer.tell({ type: 'close' });
            reject(new AssayError(message.code, message.message));
            break;
          case 'ran':
            pending.get(message.number)?.resolve(message.results);
            break;
          case 'failed':
            pending.get(message.number)?.reject(new Error(message.reason));
            break;
        }
      },
      onEnded(why) {
        isOver = true;
        reject(new AssayError('UNPROCESSABLE_MODEL', `the model was refused: what loaded it ended with ${why}`));
        if (host !== undefined) ended(host, why); // before the runs hear of it, which ask for the next one
        for (const each of pending.values()) each.reject(new HostEnded(why));
      },
    });

    async function run(feeds: Feeds, outputNames: readonly string[]): Promise<PlainTensors> {
      if (isOver) throw new HostEnded('it had ended before');
      const own = ++number;
      const timer = setTimeout(() => peer.kill(), RUN_TIMEOUT_MS);
      try {
        return await new Promise<PlainTensors>((done, failed) => {
          pending.set(own, { resolve: done, reject: failed });
          peer.tell({ type: 'run', number: own, feeds: plainOf(feeds), outputNames });
        });
      } finally {
        clearTimeout(timer);
        pending.delete(own);
      }
    }

    peer.tell({ type: 'open', model, options });
  });
}
