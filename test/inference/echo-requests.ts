/** Requests to a model that gives every row back, by several doors: an answer that is not its request's own is told. */
import { join } from 'node:path';
import { GraphBuilder } from '@assay/onnx';
import { packageFromOnnx } from '@assay/scoring';
import { ModelInferResponseSchema } from '../../services/inference/src/grpc/gen/inference/inference_pb.ts';
import { answerOf, type GrpcClient } from '../../services/inference/src/grpc/grpc-under-test.ts';
import type { MadeModel } from '../../services/inference/src/models-under-test.ts';
import type { InferenceProcess } from '../../services/inference/src/process-under-test.ts';

const WIDTH = 30;
const ROWS = 32;
export const JSON_TYPE = { 'content-type': 'application/json' };

/** Gives every row back. */
export async function echoModel(dir: string): Promise<MadeModel> {
  const graph = new GraphBuilder();
  graph.node('Identity', [graph.input('x', 'float32', ['N', WIDTH])], { outputs: ['y'] });
  graph.output('y', 'float32', ['N', WIDTH]);
  const path = join(dir, 'echo');
  return { ...(await packageFromOnnx(graph.build(), { dir: path })), dir: path };
}

/** The part of the answer to an infer request that is looked at. */
export interface InferAnswer {
  readonly model_version: string;
  readonly outputs: readonly { readonly data: readonly number[] }[];
}

/** @throws Error unless it is answered with 200 */
export async function postJson(url: string, body: unknown): Promise<unknown> {
  const response = await fetch(url, { method: 'POST', headers: JSON_TYPE, body: JSON.stringify(body) });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${response.status} ${text}`);
  return JSON.parse(text);
}

let asked = 0;

/** Numbers that nobody else has asked: an answer with those of another request is not its own. */
function newRows(rows: number): Float32Array {
  return Float32Array.from({ length: rows * WIDTH }, () => (asked = (asked + 1) % 16_000_000));
}

function checkSame(got: ArrayLike<number>, wanted: Float32Array): void {
  if (got.length !== wanted.length || wanted.some((value, i) => value !== got[i])) {
    throw new Error('the answer is that of another request');
  }
}

export async function askJson({ url }: InferenceProcess, rows: number): Promise<void> {
  const data = newRows(rows);
  const inputs = [{ name: 'x', shape: [rows, WIDTH], datatype: 'FP32', data: [...data] }];
  const { outputs } = (await postJson(`${url}/v2/models/echo/infer`, { inputs })) as InferAnswer;
  checkSame(outputs[0]?.data ?? [], data);
}

export async function askBinary({ url }: InferenceProcess): Promise<void> {
  const data = newRows(ROWS);
  const parameters = { binary_data_size: data.byteLength };
  const inputs = [{ name: 'x', shape: [ROWS, WIDTH], datatype: 'FP32', parameters }];
  const head = JSON.stringify({ inputs, parameters: { binary_data_output: true } });
  const response = await fetch(`${url}/v2/models/echo/infer`, {
    method: 'POST',
    headers: { 'inference-header-content-length': String(head.length) },
    body: Buffer.concat([Buffer.from(head), Buffer.from(data.buffer)]),
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  if (response.status !== 200) throw new Error(`${response.status} ${bytes}`);
  const numbers = bytes.subarray(Number(response.headers.get('inference-header-content-length')));
  checkSame(new Float32Array(new Uint8Array(numbers).buffer), data);
}

/** 32 rows; many calls share its connection. */
export async function askGrpc(client: GrpcClient): Promise<void> {
  const data = newRows(ROWS);
  const inputs = [{ name: 'x', datatype: 'FP32', shape: [BigInt(ROWS), BigInt(WIDTH)] }];
  const called = await client.infer({ modelName: 'echo', inputs, rawInputContents: [new Uint8Array(data.buffer)] });
  const [bytes] = answerOf(ModelInferResponseSchema, called).rawOutputContents;
  checkSame(new Float32Array(new Uint8Array(bytes ?? []).buffer), data);
}
