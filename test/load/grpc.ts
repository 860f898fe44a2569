/**
 * gRPC beside a bare Fastify echo of the same numbers as JSON, in turns, so that noise meets both alike: unary calls, and
 * messages of ModelStreamInfer. The server has one core, the load another, where the machine lets them be pinned.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { frame } from '../../services/inference/src/grpc/framing.ts';
import { ModelInferRequestSchema } from '../../services/inference/src/grpc/gen/inference/inference_pb.ts';
import { closedLoop } from './closed-loop.ts';
import { median, type Sample } from './generator.ts';
import { type GrpcTarget, grpcLoop, grpcStreamLoop } from './grpc-loop.ts';
import { numbers } from './lane.ts';
import { pinning, startPinned } from './pinned.ts';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);
const SECONDS = Number(process.env.BENCH_SECONDS ?? 2);
const SERVICE = '/inference.GRPCInferenceService';
const CONNECTIONS = 64;

export async function benchGrpc(): Promise<void> {
  const pin = pinning();
  await using echo = await startPinned(pin, 'echo-server');
  await using bare = await startPinned(pin, 'http2-echo-server');
  await using server = await startPinned(pin, 'lane-server', 'on', 'grpc');
  const { key, grpc: address = '', pid } = server;
  const values = numbers(30);
  const request = create(ModelInferRequestSchema, {
    modelName: 'small',
    inputs: [{ name: 'x', datatype: 'FP32', shape: [1n, 30n] }],
    rawInputContents: [new Uint8Array(Float32Array.from(values).buffer)],
  });
  const message = frame(toBinary(ModelInferRequestSchema, request));
  const target = (method: string): GrpcTarget => ({
    name: method,
    address,
    pid,
    path: `${SERVICE}/${method}`,
    message,
    key,
  });
  const body = JSON.stringify({ inputs: [{ name: 'x', shape: [1, 30], datatype: 'FP32', data: values }] });
  const base = (seconds: number) => closedLoop({ name: 'echo', ...echo, path: '/echo', body }, CONNECTIONS, seconds);
  const [unary, stream] = [target('ModelInfer'), target('ModelStreamInfer')];
  // The same calls, answered by node:http2 and nothing of ours: what no server on it can be below.
  const floor: GrpcTarget = { ...unary, name: 'node:http2', address: bare.url, pid: bare.pid };
  const cases: readonly [name: string, run: (seconds: number) => Promise<Sample>][] = [
    ['ModelInfer, 1 connection × 64', (seconds) => grpcLoop(unary, 1, 64, seconds)],
    ['bare node:http2, 1 connection × 64', (seconds) => grpcLoop(floor, 1, 64, seconds)],
    ['ModelInfer, 8 connections × 8', (seconds) => grpcLoop(unary, 8, 8, seconds)],
    ['bare node:http2, 8 connections × 8', (seconds) => grpcLoop(floor, 8, 8, seconds)],
    ['ModelInfer, 1 connection × 1', (seconds) => grpcLoop(unary, 1, 1, seconds)],
    ['ModelStreamInfer, 1 × 64 in flight', (seconds) => grpcStreamLoop(stream, 1, 64, seconds)],
    ['ModelStreamInfer, 4 × 16 in flight', (seconds) => grpcStreamLoop(stream, 4, 16, seconds)],
  ];
  console.log(
    `\ngRPC (small MLP, 30 floats): ratios over a bare Fastify echo of them as JSON at ${CONNECTIONS} connections`,
  );
  console.log('calls                                    per s   ratio      µs  echo µs   p50 ms   p99 ms');
  for (const [name, run] of cases) {
    await base(1); // the first seconds compile
    await run(1);
    const samples: [Sample[], Sample[]] = [[], []];
    for (let round = 0; round < ROUNDS; round++) {
      samples[0].push(await base(SECONDS));
      samples[1].push(await run(SECONDS));
    }
    const [echoes, ours] = samples;
    const of = (measure: (each: Sample, i: number) => number) => median(ours.map(measure));
    console.log(
      [
        name.padEnd(36),
        of((each) => each.requestsPerSecond)
          .toFixed(0)
          .padStart(9),
        of((each, i) => each.requestsPerSecond / (echoes[i]?.requestsPerSecond ?? Number.NaN))
          .toFixed(2)
          .padStart(7),
        of((each) => each.cpuMicrosecondsPerRequest)
          .toFixed(1)
          .padStart(7),
        median(echoes.map((each) => each.cpuMicrosecondsPerRequest))
          .toFixed(1)
          .padStart(8),
        of((each) => each.p50Ms)
          .toFixed(2)
          .padStart(8),
        of((each) => each.p99Ms)
          .toFixed(2)
          .padStart(8),
      ].join(' '),
    );
  }
}

if (import.meta.main) await benchGrpc();
