/**
 * Clients as applications have them, each with a connection that it keeps. Each asks one thing after another, of whichever
 * server it is given, and follows what the protocol tells it: `Connection: close`, GOAWAY.
 */
import { Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Client, credentials } from '@grpc/grpc-js';
import {
  ModelInferRequestSchema,
  ModelInferResponseSchema,
  ModelStreamInferResponseSchema,
} from '../../services/inference/src/grpc/gen/inference/inference_pb.ts';
import { floatRequest } from '../../services/inference/src/grpc/grpc-under-test.ts';

export interface Address {
  readonly url: string;
  readonly grpc: string;
}

export interface KeepAliveClient {
  readonly name: string;
  /** The number that the model gives. Rejects with whatever was answered instead. */
  ask(): Promise<number>;
  close(): void;
}

/** Which server is next; asked anew before each connection, or each request where a client has more than one. */
export type Pick = () => Address;

const MODEL = 'number';
const SCORE_PATH = `/v1/endpoints/${MODEL}/score`;
const SCORE_BODY = JSON.stringify({ records: [{ x: 1 }] });
const INFER = '/inference.GRPCInferenceService/ModelInfer';
const STREAM_INFER = '/inference.GRPCInferenceService/ModelStreamInfer';
const TIMEOUT_MS = 20_000;

function numberIn(status: number | undefined, text: string): number {
  const number = /"outputs":\{"version":(\d+)\}/.exec(text)?.[1];
  if (status !== 200 || number === undefined) throw new Error(`${status} ${text}`);
  return Number(number);
}

/** Node's own fetch (undici). It looks at readiness before each request. */
export function fetchClient(pick: Pick): KeepAliveClient {
  return {
    name: 'fetch',
    async ask() {
      const response = await fetch(`${pick().url}${SCORE_PATH}`, {
        method: 'POST',
        body: SCORE_BODY,
        headers: { 'content-type': 'application/json' },
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      return numberIn(response.status, await response.text());
    },
    close() {},
  };
}

/** Stays with its server, ready or not, until that says `Connection: close`. */
export function agentClient(pick: Pick): KeepAliveClient {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  let address = pick();
  return {
    name: 'http.Agent',
    ask: () =>
      new Promise((resolve, reject) => {
        const headers = { 'content-type': 'application/json', 'content-length': SCORE_BODY.length };
        const options = { method: 'POST', agent, headers, timeout: TIMEOUT_MS };
        const call = request(`${address.url}${SCORE_PATH}`, options, (response) => {
          if (response.headers.connection === 'close') address = pick();
          response
            .toArray()
            .then((chunks) => resolve(numberIn(response.statusCode, Buffer.concat(chunks).toString())), reject);
        });
        call.once('timeout', () => call.destroy(new Error('no answer')));
        call.once('error', reject).end(SCORE_BODY);
      }),
    close: () => agent.destroy(),
  };
}

/** Bytes on a socket, in the form that the lane takes. Stays until `Connection: close`. */
export function rawClient(pick: Pick): KeepAliveClient {
  let socket: Socket | undefined;
  return {
    name: 'raw socket',
    ask: () =>
      new Promise((resolve, reject) => {
        const { hostname, port } = new URL(pick().url);
        socket ??= connect({ port: Number(port), host: hostname, noDelay: true }).setEncoding('latin1');
        const used = socket;
        let text = '';
        const closed = () => reject(new Error(`the server closed after ${JSON.stringify(text)}`));
        const take = (chunk: string) => {
          text += chunk;
          const end = text.indexOf('\r\n\r\n');
          const length = Number(/content-length: (\d+)/i.exec(text)?.[1]);
          if (end < 0 || text.length < end + 4 + length) return;
          used.off('data', take).off('close', closed).off('error', reject);
          if (/^connection: close/im.test(text)) {
            used.destroy();
            socket = undefined;
          }
          try {
            resolve(numberIn(Number(text.slice(9, 12)), text));
          } catch (error) {
            reject(error);
          }
        };
        used.on('data', take).once('close', closed).once('error', reject);
        used.write(
          `POST ${SCORE_PATH} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nContent-Type: application/json\r\nContent-Length: ${SCORE_BODY.length}\r\n\r\n${SCORE_BODY}`,
        );
      }),
    close: () => void socket?.destroy(),
  };
}

const rows = Buffer.from(toBinary(ModelInferRequestSchema, create(ModelInferRequestSchema, floatRequest(MODEL, [1]))));

function numberOf(
  response: { readonly rawOutputContents: readonly Uint8Array[] } | undefined,
  problem: string,
): number {
  const [bytes] = response?.rawOutputContents ?? [];
  if (bytes?.length !== 8) throw new Error(problem);
  return Number(Buffer.from(bytes).readBigInt64LE());
}

/** One channel that knows both addresses; which of them it uses is its own affair, by GOAWAY. */
export function grpcClient(addresses: readonly Address[]): KeepAliveClient {
  const client = new Client(`ipv4:${addresses.map(({ grpc }) => grpc).join(',')}`, credentials.createInsecure());
  return {
    name: 'grpc-js',
    ask: () =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest(
          INFER,
          (bytes: Buffer) => bytes,
          (bytes: Buffer) => fromBinary(ModelInferResponseSchema, bytes),
          rows,
          { deadline: Date.now() + TIMEOUT_MS },
          (error, response) => {
            if (error !== null) reject(error);
            else resolve(numberOf(response, 'an answer without outputs'));
          },
        );
      }),
    close: () => client.close(),
  };
}

/** A stream, which it ends and opens anew at the other server when its own is not ready any more. */
export function grpcStreamClient(pick: Pick): KeepAliveClient {
  let open: { readonly address: Address; readonly ask: () => Promise<number>; end(): Promise<void> } | undefined;
  return {
    name: 'grpc-js stream',
    async ask() {
      const address = pick();
      if (open !== undefined && open.address !== address) {
        await open.end();
        open = undefined;
      }
      open ??= { address, ...openStream(address) };
      return open.ask();
    },
    close: () => void open?.end().catch(() => undefined),
  };
}

function openStream({ grpc }: Address) {
  const client = new Client(grpc, credentials.createInsecure());
  const stream = client.makeBidiStreamRequest(
    STREAM_INFER,
    (bytes: Buffer) => bytes,
    (bytes: Buffer) => fromBinary(ModelStreamInferResponseSchema, bytes),
  );
  const answers = stream[Symbol.asyncIterator]();
  return {
    async ask() {
      stream.write(rows);
      const { value, done } = await answers.next();
      if (done === true) throw new Error('the stream ended');
      return numberOf(value.inferResponse, value.errorMessage);
    },
    /** Rejects unless the stream ends with OK and nothing more. */
    async end() {
      stream.end();
      const { done } = await answers.next();
      client.close();
      if (done !== true) throw new Error('an answer that nobody asked for');
    },
  };
}
