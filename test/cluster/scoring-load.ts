/**
 * Clients that score all the time over connections that they keep, and count what they are answered.
 *
 * A client does what a careful HTTP client does with a request that may be repeated, as scoring may: where the connection
 * broke before an answer came (the other side was killed, or closed the connection while the request was on its way), or
 * was not made within a second, the same request is sent again over a new connection, `MAX_TRIES` times in all. Whatever
 * was answered counts as it was answered, 503 too: it is not asked again.
 */
import { Agent, type ClientRequest, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

export interface LoadOptions {
  /** `http://10.233.1.2:8102/v1/endpoints/NAME/score` */
  readonly url: string;
  readonly key: string;
  readonly body: string;
  readonly clients: number;
  /** Between two requests of a client. */
  readonly pauseMs: number;
  /** What is wrong with an answer of status 200; undefined when nothing is. */
  readonly judge: (answer: string) => string | undefined;
}

export interface LoadReport {
  readonly answered: number;
  /** By what happened: `503`, `ECONNREFUSED`, or what `judge` said. */
  readonly failed: Readonly<Record<string, number>>;
  readonly wrong: number;
  /** Tries after the first, by what had become of the connection. */
  readonly repeated: Readonly<Record<string, number>>;
  readonly seconds: number;
  /** Of the answered ones, all tries together. */
  readonly latencyMs: { readonly p50: number; readonly p99: number; readonly max: number };
}

export interface Load {
  /** Answers so far. */
  readonly answered: number;
  /** As in the report, so far. */
  readonly repeated: LoadReport['repeated'];
  stop(): Promise<LoadReport>;
}

const REQUEST_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 1000;
const MAX_TRIES = 3;
/** The connection broke or was not made: nobody has answered. */
const BROKEN: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'ECONNREFUSED', 'EHOSTUNREACH', 'not connected']);

export function startLoad(options: LoadOptions): Load {
  const agent = new Agent({ keepAlive: true, maxSockets: options.clients });
  const stopping = new AbortController();
  const failed: Record<string, number> = {};
  const repeated: Record<string, number> = {};
  const latenciesMs: number[] = [];
  let wrong = 0;
  const startedMs = performance.now();
  const count = (counts: Record<string, number>, what: string): void => {
    counts[what] = (counts[what] ?? 0) + 1;
  };

  async function ask(): Promise<Answer> {
    for (let tries = 1; ; tries++) {
      const answer = await once(options, tries === 1 ? agent : new Agent());
      if (answer.failure === undefined || !BROKEN.has(answer.failure) || tries === MAX_TRIES) return answer;
      count(repeated, answer.failure);
    }
  }

  async function client(): Promise<void> {
    while (!stopping.signal.aborted) {
      const beganMs = performance.now();
      const answer = await ask();
      const complaint = answer.failure ?? options.judge(answer.body);
      if (complaint === undefined) latenciesMs.push(performance.now() - beganMs);
      else {
        count(failed, complaint);
        if (answer.failure === undefined) wrong++;
      }
      await delay(options.pauseMs);
    }
  }

  const clients = Array.from({ length: options.clients }, client);
  return {
    get answered() {
      return latenciesMs.length;
    },
    get repeated() {
      return { ...repeated };
    },
    async stop() {
      stopping.abort();
      await Promise.all(clients);
      agent.destroy();
      const seconds = (performance.now() - startedMs) / 1000;
      latenciesMs.sort((a, b) => a - b);
      const at = (share: number): number => latenciesMs[Math.ceil(latenciesMs.length * share) - 1] ?? 0;
      const latencyMs = { p50: at(0.5), p99: at(0.99), max: at(1) };
      return { answered: latenciesMs.length, failed, wrong, repeated, seconds, latencyMs };
    },
  };
}

type Answer = { readonly body: string; readonly failure?: undefined } | { readonly failure: string };

function once({ url, key, body }: LoadOptions, agent: Agent): Promise<Answer> {
  return new Promise((resolve) => {
    const call = request(
      url,
      {
        agent,
        method: 'POST',
        timeout: REQUEST_TIMEOUT_MS,
        headers: {
          authorization: `Bearer ${key}`,
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
        },
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('error', (error) => resolve({ failure: codeOf(error) }));
        response.on('end', () =>
          resolve(response.statusCode === 200 ? { body: text } : { failure: String(response.statusCode) }),
        );
      },
    );
    limitConnecting(call);
    call.on('timeout', () => call.destroy(new Error('timeout')));
    call.on('error', (error) => resolve({ failure: codeOf(error) }));
    call.end(body);
  });
}

/** A pod that is gone does not refuse: its address answers nothing until the Service forgets it. */
function limitConnecting(call: ClientRequest): void {
  call.once('socket', (socket) => {
    if (!socket.connecting) return;
    const timer = setTimeout(() => call.destroy(new Error('not connected')), CONNECT_TIMEOUT_MS);
    for (const event of ['connect', 'close'] as const) socket.once(event, () => clearTimeout(timer));
  });
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message;
}
