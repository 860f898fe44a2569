import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { serveStatic, temporaryFolder } from './inference-under-test.ts';
import { versionModel } from './models-under-test.ts';
import { createStaticModels } from './routing/static-source.ts';

/** `dir/model/version/model.onnx` for versions 1 and 2, and plain ONNX files beside. */
async function layOut(dir: string) {
  for (const number of [1, 2]) {
    const { dir: made } = await versionModel(dir, number);
    const folder = join(dir, 'repository', 'flights', String(number));
    await mkdir(folder, { recursive: true });
    await copyFile(join(made, 'model.onnx'), join(folder, 'model.onnx'));
  }
}

describe('models from files', () => {
  test('an ONNX file, a package, a model folder and a folder of models are served', async () => {
    await using folder = await temporaryFolder();
    const dir = folder.path;
    await layOut(dir);
    const score = { records: [{ x: 1 }] };
    {
      await using inference = await serveStatic(dir, [
        { name: 'file', path: join(dir, 'repository/flights/1/model.onnx') },
        { name: 'package', path: join(dir, 'version-2') },
        { path: join(dir, 'repository', 'flights') },
      ]);
      for (const [name, version] of [
        ['file', 1],
        ['package', 2],
        ['flights', 2],
      ] as const) {
        const { body } = await inference.post(`/v1/endpoints/${name}/score`, score);
        expect([name, body.predictions[0].outputs.version]).toEqual([name, version]);
      }
      const infer = { inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 1], data: [1] }] };
      for (const [path, version] of [
        ['flights', 2],
        ['flights/versions/1', 1],
        ['flights/versions/2', 2],
      ] as const) {
        const { body } = await inference.post(`/v2/models/${path}/infer`, infer);
        expect([path, body.model_version, body.outputs[0].data]).toEqual([path, String(version), [version]]);
      }
    }
    await using again = await serveStatic(dir, [{ path: join(dir, 'repository') }]);
    expect((await again.post('/v1/endpoints/flights/score', score)).body.predictions[0].outputs.version).toBe(2);
  });

  test('what holds no model is refused with what was expected', async () => {
    await using folder = await temporaryFolder();
    const dir = folder.path;
    await layOut(dir);
    await writeFile(join(dir, 'junk.onnx'), 'this is no protobuf');
    await mkdir(join(dir, 'empty'));
    const refused = async (...models: { name?: string; path: string }[]) =>
      createStaticModels(models, { workDir: join(dir, 'made') }).then(
        () => 'taken',
        (error: unknown) => String(error),
      );
    const model = join(dir, 'repository', 'flights', '1');
    expect(await refused({ path: join(dir, 'nowhere.onnx') })).toMatch(/there is no file or folder/);
    expect(await refused({ path: join(dir, 'empty') })).toMatch(/holds no model: expected model.onnx/);
    expect(await refused({ path: join(dir, 'junk.onnx') })).toMatch(/cannot serve "junk"/);
    expect(await refused({ name: 'no name', path: model })).toMatch(/"no name" is no name for an endpoint/);
    expect(await refused({ name: 'a', path: model }, { name: 'a', path: model })).toMatch(
      /version 1 of "a" is given twice/,
    );
    expect(await refused()).toMatch(/no models to serve/);
  });

  test('a package whose golden records do not reproduce keeps the service from starting', async () => {
    await using folder = await temporaryFolder();
    const broken = await versionModel(folder.path, 1, true);
    await expect(serveStatic(folder.path, [{ name: 'a', path: broken.dir }])).rejects.toMatchObject({
      code: 'UNPROCESSABLE_MODEL',
      message: expect.stringMatching(/cannot serve "a": .*golden records do not reproduce/),
    });
  });
});
