import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type InferenceUnderTest, serveStatic, temporaryFolder } from './inference-under-test.ts';
import { slowModel, versionModel } from './models-under-test.ts';

const scorerOf = async (inference: InferenceUnderTest, endpoint: string) =>
  (await inference.get(`/v1/endpoints/${endpoint}`)).body.variants[0].scorer;

function childrenOfThis(): number[] {
  const text = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8').trim();
  return text === '' ? [] : text.split(' ').map(Number);
}

test('a slow model runs in a thread, a small one on the loop, and the status says which', async () => {
  await using folder = await temporaryFolder();
  const slow = await slowModel(folder.path);
  await versionModel(folder.path, 1);
  await using inference = await serveStatic(folder.path, [
    { name: 'slow', path: slow.dir },
    { name: 'small', path: join(folder.path, 'version-1') },
  ]);
  expect([(await scorerOf(inference, 'slow')).place, (await scorerOf(inference, 'small')).place]).toEqual([
    'thread',
    'loop',
  ]);
});

test('a setting keeps every model on the loop', async () => {
  await using folder = await temporaryFolder();
  const slow = await slowModel(folder.path);
  await using inference = await serveStatic(folder.path, [{ name: 'slow', path: slow.dir }], { placement: 'loop' });
  expect((await scorerOf(inference, 'slow')).place).toBe('loop');
});

test('a model in a process of its own may be killed again and again: no request fails, not even its own', async () => {
  await using folder = await temporaryFolder();
  const before = new Set(childrenOfThis());
  await versionModel(folder.path, 1);
  await versionModel(folder.path, 2);
  await using inference = await serveStatic(
    folder.path,
    [1, 2].map((number) => ({ name: `m${number}`, path: join(folder.path, `version-${number}`) })),
    { isolation: 'process' },
  );
  const own = () => childrenOfThis().filter((pid) => !before.has(pid));
  await expect.poll(own).toHaveLength(2); // each version was also loaded the plain way, to be compared with
  let isOver = false;
  const answered: number[] = [];
  const asking = [1, 2].map(async (number) => {
    while (!isOver) {
      const { status, body } = await inference.post(`/v1/endpoints/m${number}/score`, { records: [{ x: 1 }] });
      expect([status, body.predictions?.[0].outputs.version]).toEqual([200, number]);
      answered.push(number);
    }
  });
  for (let kills = 0; kills < 3; kills++) {
    const [victim = 0] = own();
    const seen = answered.length;
    process.kill(victim, 'SIGKILL');
    // Both have been answered since, by the new process too.
    await expect.poll(() => new Set(answered.slice(seen + 4)).size, { timeout: 20_000 }).toBe(2);
    await expect.poll(own).toHaveLength(2);
  }
  isOver = true;
  await Promise.all(asking);
  const { text } = await inference.get('/metrics');
  const crashes = [...text.matchAll(/^assay_inference_model_crashes_total\{[^}]*\} (\d+)$/gm)].map(([, n]) =>
    Number(n),
  );
  expect(crashes.reduce((sum, count) => sum + count, 0)).toBe(3);
});
