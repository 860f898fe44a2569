import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import * as pb from './grpc/gen/inference/inference_pb.ts';
import { answerOf, framed, grpcClient } from './grpc/grpc-under-test.ts';
import { serveRegistry, temporaryFolder } from './inference-under-test.ts';
import { versionModel } from './models-under-test.ts';
import { startRegistry } from './registry-under-test.ts';

const within = { timeout: 20_000, interval: 20 };
/** Room for one small model. */
const ONE_MODEL_BYTES = 2_000_000;

test('the repository index tells of a version that cannot be woken, by REST and gRPC, until it can', async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  const models = { one: await versionModel(folder.path, 1), two: await versionModel(folder.path, 2) };
  for (const [name, made] of Object.entries(models)) registry.route(name, [{ made, weight: 10_000 }]);
  const flags = { grpcPort: 0, modelMemoryBytes: ONE_MODEL_BYTES };
  await using inference = await serveRegistry(folder.path, registry.url, flags);
  await using client = grpcClient(inference.service.addresses.grpc);
  const score = (name: string) => inference.post(`/v1/endpoints/${name}/score`, { records: [{ x: 1 }] });
  const states = async (ready = false) => {
    const byRest: { name: string; state: string; reason: string }[] = (
      await inference.post('/v2/repository/index', ready ? { ready } : '')
    ).body;
    const request = framed(pb.RepositoryIndexRequestSchema, { ready });
    const called = await client.call('/inference.GRPCInferenceService/RepositoryIndex', request);
    const byGrpc = answerOf(pb.RepositoryIndexResponseSchema, called).models;
    const plain = (entries: typeof byRest) => entries.map(({ name, state, reason }) => [name, state, reason]);
    expect(plain(byGrpc)).toEqual(plain(byRest));
    return plain(byRest);
  };
  await vi.waitFor(async () => expect((await inference.get('/readyz')).status).toBe(200), within);
  await vi.waitFor(async () => expect((await score('two')).status).toBe(200), within);
  expect((await score('one')).status).toBe(200); // "two" makes room for it
  const bothReady = [
    ['one', 'READY', ''],
    ['two', 'READY', ''],
  ];
  expect(await states()).toEqual(bothReady);

  registry.damageFiles(true);
  await rm(join(folder.path, 'cache', 'packages', models.two.digest), { recursive: true });
  expect((await score('two')).status).toBe(503);
  const reason = expect.stringMatching(
    /two version 2 was unloaded to save memory, and could not be loaded again \(1 t/,
  );
  expect(await states()).toEqual([
    ['one', 'READY', ''],
    ['two', 'UNAVAILABLE', reason],
  ]);
  expect(await states(true)).toEqual([['one', 'READY', '']]);

  registry.damageFiles(false);
  await vi.waitFor(async () => expect((await score('two')).status).toBe(200), within);
  expect(await states()).toEqual(bothReady);
});
