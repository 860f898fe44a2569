import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { AuditVerification, ErrorBody, matches, ScoreResponse } from '@assay/contracts';
import { describe, expect, it } from 'vitest';
import { startAssay, temporaryFolder } from '../parts/assay.ts';

const FLIGHT = { hour: 17, weekday: 5, distance: 802, origin: 'ORD', destination: 'BOS' };

async function score(inference: string, body: unknown, endpoint = 'flight-delay'): Promise<Response> {
  return fetch(`${inference}/v1/endpoints/${endpoint}/score`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
}

async function json(response: Response): Promise<unknown> {
  return response.json();
}

describe('assay up', () => {
  it('trains the example, serves it, stops cleanly and goes on after kill -9', async () => {
    await using folder = await temporaryFolder();
    const dataDir = folder.path;
    const first = await startAssay({ dataDir });
    try {
      expect(first.output()).toContain('flight-delay');
      expect(first.output()).toContain('curl');
      const { registry, inference } = first.run.services;
      const model = await json(await fetch(`${registry.http}/v1/models/flight-delay`));
      expect(model).toMatchObject({ name: 'flight-delay', latestVersion: 1, aliases: { champion: 1 } });
      const answer = await json(await score(inference.http, { records: [FLIGHT] }));
      expect(matches(ScoreResponse, answer), JSON.stringify(answer)).toBe(true);
      const verification = await json(await fetch(`${registry.http}/v1/audit/verify`));
      expect(matches(AuditVerification, verification)).toBe(true);
      expect(verification).toMatchObject({ valid: true });
    } finally {
      expect(await first.stop()).toBe(0);
    }
    expect(existsSync(join(dataDir, 'run.json'))).toBe(false);

    const second = await startAssay({ dataDir });
    const before = await json(await score(second.run.services.inference.http, { records: [FLIGHT] }));
    await second.kill();

    await using third = await startAssay({ dataDir });
    const after = await json(await score(third.run.services.inference.http, { records: [FLIGHT] }));
    const outputs = (answer: unknown) => (answer as ScoreResponse).predictions.map((each) => each.outputs); // matched above
    expect(outputs(after)).toEqual(outputs(before));
    const models = await json(await fetch(`${third.run.services.registry.http}/v1/models`));
    expect(models).toMatchObject({ items: [{ name: 'flight-delay', latestVersion: 1 }] });
    const verification = await json(await fetch(`${third.run.services.registry.http}/v1/audit/verify`));
    expect(verification).toMatchObject({ valid: true });
  });

  it('survives kill -9 in the middle of the first training and trains one version', async () => {
    await using folder = await temporaryFolder();
    const started = startAssay({ dataDir: folder.path });
    started.catch(() => undefined); // awaited below
    // A launch's folder appears before its child runs: from then on training is under way.
    await expect.poll(() => launches(folder.path), { timeout: 60_000, interval: 50 }).not.toEqual([]);
    const lock = JSON.parse(await readFile(join(folder.path, 'lock.json'), 'utf8'));
    process.kill(lock.pid, 'SIGKILL');
    await expect(started).rejects.toThrow();
    await using again = await startAssay({ dataDir: folder.path });
    const model = await json(await fetch(`${again.run.services.registry.http}/v1/models/flight-delay`));
    expect(model).toMatchObject({ latestVersion: 1, aliases: { champion: 1 } });
  });

  it('refuses a data folder that another process uses, in one line that names it', async () => {
    await using first = await startAssay();
    const second = startAssay({ dataDir: first.dataDir });
    await expect(second).rejects.toThrow(new RegExp(`in use by process ${first.run.pid}`));
    expect((await score(first.run.services.inference.http, { records: [FLIGHT] })).status).toBe(200);
  });

  it('refuses a taken port in one line that says which setting to change', async () => {
    const blocker = createServer().listen(0, '127.0.0.1');
    const address = await new Promise<ReturnType<typeof blocker.address>>((resolve) =>
      blocker.once('listening', () => resolve(blocker.address())),
    );
    const port = typeof address === 'object' ? String(address?.port) : '';
    await expect(startAssay({ env: { ASSAY_INFERENCE_PORT: port } })).rejects.toThrow(
      new RegExp(`${port}.*ASSAY_INFERENCE_PORT`),
    );
    blocker.close();
  });
});

describe('bad input to the trained model', () => {
  it('is a 4xx with the place and what was expected, never a 500 and never a score', async () => {
    await using assay = await startAssay();
    const { inference } = assay.run.services;
    const bad: readonly [string, unknown, number, string][] = [
      ['an unknown feature', { records: [{ ...FLIGHT, distanse: 1 }] }, 400, 'records[0].distanse'],
      ['a missing feature', { records: [{ ...FLIGHT, distance: undefined }] }, 400, 'records[0].distance'],
      ['null', { records: [FLIGHT, { ...FLIGHT, distance: null }] }, 400, 'records[1].distance'],
      ['a boolean', { records: [{ ...FLIGHT, distance: true }] }, 400, 'records[0].distance'],
      ['a number as text', { records: [{ ...FLIGHT, distance: '300' }] }, 400, 'records[0].distance'],
      ['a fraction for an integer', { records: [{ ...FLIGHT, hour: 1.5 }] }, 400, 'records[0].hour'],
      ['no records', { records: [] }, 400, 'records'],
      ['a typo', { record: [FLIGHT] }, 400, 'body'],
      ['no object', '[1,2,3]', 400, 'body'],
      ['broken JSON', '{"records":[{"hour":17,}]}', 400, ''],
      ['bare NaN', '{"records":[{"hour":NaN}]}', 400, ''],
      ['deep nesting', `{"records":${'['.repeat(100_000)}${']'.repeat(100_000)}}`, 400, ''],
    ];
    for (const [what, body, status, place] of bad) {
      const response = await score(inference.http, body);
      const answer = await response.json();
      expect(response.status, `${what}: ${JSON.stringify(answer)}`).toBe(status);
      expect(matches(ErrorBody, answer), what).toBe(true);
      const places = (answer as ErrorBody).error.details.map((detail) => detail.place); // matched in the line above
      if (place !== '') expect(places.join(' '), what).toContain(place);
    }
    const unknownEndpoint = await score(inference.http, { records: [FLIGHT] }, 'flight-dela');
    expect(unknownEndpoint.status).toBe(404);
    expect(await unknownEndpoint.text()).toContain('flight-delay');
    const text = await fetch(`${inference.http}/v1/endpoints/flight-delay/score`, {
      method: 'POST',
      headers: { 'content-type': 'text/plain' },
      body: 'hello',
    });
    expect(text.status).toBe(415);
    const unseen = await score(inference.http, { records: [{ ...FLIGHT, origin: 'QQQ' }] });
    expect(unseen.status).toBe(200); // an open set takes it as unknown
  });
});

async function launches(dataDir: string): Promise<string[]> {
  const path = join(dataDir, 'training', 'launches');
  return existsSync(path) ? readdir(path) : [];
}
