import { once } from 'node:events';
import { createServer } from 'node:http';
import { constants } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type Event, type KeySnapshot, PredictionsLogged, parse } from '@assay/contracts';
import { formatKeyText, newSecret, secretSha256 } from '@assay/http';
import { createLogger, loadConfig, type Service } from '@assay/runtime';
import { fromBinary } from '@bufbuild/protobuf';
import { describe, expect, test, vi } from 'vitest';
import { inferenceConfig } from '../config.ts';
import { type Flags, serveStatic, temporaryFolder } from '../inference-under-test.ts';
import { slowModel, versionModel } from '../models-under-test.ts';
import { createStaticModels } from '../routing/static-source.ts';
import { createService, type InferenceDependencies } from '../service.ts';
import { HealthCheckRequestSchema, HealthCheckResponseSchema } from './gen/grpc/health/v1/health_pb.ts';
import { ModelInferRequestSchema, ModelInferResponseSchema } from './gen/inference/inference_pb.ts';
import {
  answerOf,
  type Called,
  floatRequest,
  framed,
  grpcClient,
  INFER,
  outputsOf,
  STREAM_INFER,
} from './grpc-under-test.ts';

/** A registry that knows keys, and nothing else. */
async function keyRegistry(keys: KeySnapshot['keys']) {
  const server = createServer((request, response) => {
    const isNews = new URL(request.url ?? '/', 'http://keys').searchParams.get('after') === null;
    if (isNews) response.setHeader('content-type', 'application/json').end(JSON.stringify({ revision: 1, keys }));
    else setTimeout(() => response.writeHead(204).end(), 50);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo; // listening on TCP
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

function makeKey(id: string, limits: Partial<KeySnapshot['keys'][number]>) {
  const secret = newSecret();
  const owner = { principalId: `prn_${id}`, principalName: id, principalKind: 'service' as const };
  return {
    text: formatKeyText({ id, secret }),
    entry: { id, secretSha256: secretSha256(secret), ...owner, scopes: ['score'], ...limits },
  };
}

async function serve(
  dir: string,
  names: readonly string[],
  {
    flags = {},
    env = {},
    deps = {},
  }: { flags?: Flags; env?: Record<string, string>; deps?: InferenceDependencies } = {},
): Promise<Service & AsyncDisposable> {
  const { dir: path } = await versionModel(dir, 3);
  const models = await createStaticModels(
    names.map((name) => ({ name, path })),
    { workDir: join(dir, 'made') },
  );
  const config = loadConfig(inferenceConfig, {
    flags: { port: 0, grpcPort: 0, cacheDir: join(dir, 'cache'), ...flags },
    env,
  });
  const log = createLogger({ service: 'inference', level: 'silent' });
  const service = await createService(config, { models, log, ...deps });
  await service.start();
  return { ...service, [Symbol.asyncDispose]: () => service.close() };
}

describe('keys', () => {
  test('are metadata of a call, and may be limited to endpoints', async () => {
    const any = makeKey('key_any', {});
    const limited = makeKey('key_limited', { endpoints: ['mine'] });
    const reader = makeKey('key_reader', { scopes: ['read'] });
    await using registry = await keyRegistry([any.entry, limited.entry, reader.entry]);
    await using folder = await temporaryFolder();
    await using service = await serve(folder.path, ['mine', 'theirs'], {
      flags: { registryUrl: registry.url },
      env: { ASSAY_SERVICE_KEY: any.text },
    });
    await using client = grpcClient(service.addresses.grpc);
    const statusOf = async (model: string, key: string | undefined) => {
      const headers: Record<string, string> = key === undefined ? {} : { authorization: `Bearer ${key}` };
      const { stream, ended } = client.open(STREAM_INFER, headers);
      stream.end(framed(ModelInferRequestSchema, floatRequest(model, [1])));
      const [alone, streamed] = [await client.infer(floatRequest(model, [1]), headers), await ended];
      // In a stream a message is refused, not the stream, once it is known who calls.
      const inStream = streamed.status === 0 && streamed.messages[0]?.[0] === 0x0a ? 7 : streamed.status;
      expect(inStream).toBe(alone.status);
      return alone.status;
    };
    expect(await statusOf('mine', undefined)).toBe(16);
    expect(await statusOf('mine', `${any.text.slice(0, -1)}!`)).toBe(16);
    expect(await statusOf('theirs', any.text)).toBe(0);
    expect(await statusOf('mine', limited.text)).toBe(0);
    expect(await statusOf('theirs', limited.text)).toBe(7);
    expect(await statusOf('mine', reader.text)).toBe(7);
    const health = await client.call('/grpc.health.v1.Health/Check', framed(HealthCheckRequestSchema, {}));
    expect(health.status).toBe(0);
  });
});

test('predictions are logged with their door, by the id that the answer has', async () => {
  const events: Event[] = [];
  await using folder = await temporaryFolder();
  await using service = await serve(folder.path, ['mine'], {
    flags: { predictionLogLingerMs: 1 },
    deps: { predictions: { publish: async (_topic, published) => void events.push(...published) } },
  });
  await using client = grpcClient(service.addresses.grpc);
  const answer = answerOf(ModelInferResponseSchema, await client.infer(floatRequest('mine', [1, 2.5])));
  await vi.waitFor(() => expect(events).toHaveLength(1));
  const { predictions } = (events[0] as Event).data as PredictionsLogged; // it came; of the one topic that is published to
  const id = answer.parameters.prediction_id?.parameterChoice.value;
  expect(predictions.map(({ door, id, record }) => [door, id, record])).toEqual([
    ['grpc', `${id}-0`, '{"x":1}'],
    ['grpc', `${id}-1`, '{"x":2.5}'],
  ]);
});

test('predictions have the trace that asked for them, of one message and of each of a stream', async () => {
  const events: Event[] = [];
  await using folder = await temporaryFolder();
  await using service = await serve(folder.path, ['mine'], {
    flags: { predictionLogLingerMs: 1 },
    deps: { predictions: { publish: async (_topic, published) => void events.push(...published) } },
  });
  await using client = grpcClient(service.addresses.grpc);
  const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
  const traced = { traceparent: `00-${traceId}-00f067aa0ba902b7-01`, tracestate: 'congo=t61rcWkgMzE' };
  for (const headers of [traced, {}, { traceparent: 'malformed' }]) {
    expect((await client.infer(floatRequest('mine', [1]), headers)).status).toBe(0);
  }
  const message = framed(ModelInferRequestSchema, floatRequest('mine', [2]));
  expect((await client.call(STREAM_INFER, Buffer.concat([message, message]), traced)).status).toBe(0);
  const logged = () => events.flatMap(({ data }) => parse(PredictionsLogged, data, 'data').predictions);
  await expect.poll(() => logged().length).toBe(5);
  expect(logged().map((prediction) => [prediction.record, prediction.traceId])).toEqual([
    ['{"x":1}', traceId],
    ['{"x":1}', undefined],
    ['{"x":1}', undefined],
    ['{"x":2}', traceId],
    ['{"x":2}', traceId],
  ]);
});

describe('a stop', () => {
  test('fails no call that was made before its GOAWAY came, and says so to who watches the health', async () => {
    await using folder = await temporaryFolder();
    const slow = await slowModel(folder.path);
    const inference = await serveStatic(folder.path, [{ name: 'slow', path: slow.dir }], {
      grpcPort: 0,
      drainDelayMs: 700,
      maxBatchRows: 8,
    });
    await using client = grpcClient(inference.service.addresses.grpc);
    const watch = client.open('/grpc.health.v1.Health/Watch');
    watch.stream.end(framed(HealthCheckRequestSchema, {}));
    await watch.received(1);
    let isTold = false;
    const told = once(client.session, 'goaway').then(() => {
      isTold = true;
    });
    const stream = client.open(STREAM_INFER);
    let sent = 0;
    const calls: Promise<Called>[] = [];
    const stopped = inference.service.close();
    while (!isTold) {
      stream.stream.write(framed(ModelInferRequestSchema, floatRequest('slow', [sent++])));
      calls.push(client.infer(floatRequest('slow', [1])));
      await Promise.race([calls.at(-1), told]);
    }
    // What was not sent when GOAWAY came is refused by the client itself, which may make it again elsewhere.
    const made = (await Promise.all(calls)).filter(({ resetCode }) => resetCode !== constants.NGHTTP2_REFUSED_STREAM);
    expect(made.length).toBeGreaterThan(2); // however busy the machine is
    expect(new Set(made.map(({ status }) => status))).toEqual(new Set([0]));
    const { messages, status } = await stream.ended;
    expect([messages.length, status]).toEqual([sent, 14]);
    const seen = (await watch.ended).messages.map((bytes) => fromBinary(HealthCheckResponseSchema, bytes).status);
    expect(seen).toEqual([1, 2]);
    await stopped;
  });

  test('does not wait for a caller that neither reads nor ends', async () => {
    await using folder = await temporaryFolder();
    const service = await serve(folder.path, ['mine'], { flags: { closeTimeoutMs: 300 } });
    await using client = grpcClient(service.addresses.grpc);
    const { stream, ended } = client.open(INFER);
    stream.write(Buffer.from([0, 0, 0, 0, 9]));
    expect(outputsOf(await client.infer(floatRequest('mine', [1])))).toEqual({ version: '0300000000000000' });
    await service.close();
    expect([14, -1]).toContain((await ended).status);
  });
});

test('many resets of one connection end that connection and nothing else', async () => {
  await using folder = await temporaryFolder();
  await using service = await serve(folder.path, ['mine']);
  await using flood = grpcClient(service.addresses.grpc);
  await using other = grpcClient(service.addresses.grpc);
  expect((await other.infer(floatRequest('mine', [1]))).status).toBe(0);
  for (let round = 0; round < 200 && !flood.session.destroyed && !flood.session.closed; round++) {
    const streams = Array.from({ length: 200 }, () =>
      flood.session.request({ ':method': 'POST', ':path': INFER, 'content-type': 'application/grpc' }),
    );
    for (const stream of streams) stream.on('error', () => undefined);
    await new Promise(setImmediate);
    for (const stream of streams) stream.close(8);
    await new Promise(setImmediate);
  }
  await vi.waitFor(() => expect(flood.session.destroyed).toBe(true), 20_000);
  expect((await other.infer(floatRequest('mine', [1]))).status).toBe(0);
});
