/** Clients that score all the time over connections that they keep, and count what they are answered. */
import { Agent, request } from 'node:http';
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
  readonly seconds: number;
}

export interface Load {
  stop(): Promise<LoadReport>;
}

const REQUEST_TIMEOUT_MS = 10_000;

export function startLoad(options: LoadOptions): Load {
  const agent = new Agent({ keepAlive: true, maxSockets: options.clients });
  const stopping = new AbortController();
  const failed: Record<string, number> = {};
  let answered = 0;
  let wrong = 0;
  const startedMs = performance.now();

  async function client(): Promise<void> {
    while (!stopping.signal.aborted) {
      const outcome = await once(options, agent);
      if (outcome.failure !== undefined) failed[outcome.failure] = (failed[outcome.failure] ?? 0) + 1;
      else {
        const complaint = options.judge(outcome.body);
        if (complaint === undefined) answered++;
        else {
          wrong++;
          failed[complaint] = (failed[complaint] ?? 0) + 1;
        }
      }
      await delay(options.pauseMs);
    }
  }

  const clients = Array.from({ length: options.clients }, client);
  return {
    async stop() {
      stopping.abort();
      await Promise.all(clients);
      agent.destroy();
      return { answered, failed, wrong, seconds: (performance.now() - startedMs) / 1000 };
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
    call.on('timeout', () => call.destroy(new Error('timeout')));
    call.on('error', (error) => resolve({ failure: codeOf(error) }));
    call.end(body);
  });
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message;
}
