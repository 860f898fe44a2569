import { afterEach, describe, expect, test } from 'vitest';
import type { KeySource } from './access.ts';
import { guardedApp, makeKey, sourceOf } from './access-under-test.ts';
import type { App } from './app.ts';
import { connectRaw, lastAnswer } from './app-under-test.ts';
import { listen } from './listen.ts';

const key = makeKey(['read']);
const apps: App[] = [];
afterEach(async () => {
  for (const app of apps.splice(0)) await app.close();
});

async function start(host = '127.0.0.1', keys: KeySource | null = sourceOf(key)): Promise<string> {
  const { app } = guardedApp(keys ?? undefined);
  apps.push(app);
  return listen(app, { host, port: 0, keysSetting: 'set ASSAY_SERVICE_KEY_FILE' });
}

async function send(url: string, ...headers: string[]): Promise<ReturnType<typeof lastAnswer>> {
  const connection = await connectRaw(url);
  connection.write(`${['GET /read HTTP/1.1', 'Connection: close', ...headers].join('\r\n')}\r\n\r\n`);
  return lastAnswer(await connection.closed);
}

describe('an app with keys', () => {
  test('listens where others can reach it, and answers them by any name', async () => {
    const url = (await start('0.0.0.0')).replace('0.0.0.0', '127.0.0.1');
    const authorization = `Authorization: Bearer ${key.text}`;
    expect((await send(url, 'Host: assay.example.com', authorization)).status).toBe(200);
    expect((await send(url, 'Host: assay.example.com')).status).toBe(401);
  });

  test('needs them on loopback too', async () => {
    expect((await send(await start(), 'Host: localhost')).status).toBe(401);
  });

  test.each([
    ['the right one first', [`Authorization: Bearer ${key.text}`, 'Authorization: Bearer x']],
    ['the right one last', ['Authorization: Bearer x', `Authorization: Bearer ${key.text}`]],
    ['both right', [`Authorization: Bearer ${key.text}`, `authorization: Bearer ${key.text}`]],
  ])('refuses a call with two Authorization headers, %s', async (_which, headers) => {
    const { status, body } = await send(await start(), 'Host: localhost', ...headers);
    expect(status).toBe(401);
    expect(body).toMatchObject({ error: { message: 'the call has 2 Authorization headers; send one' } });
  });

  test.each([
    ['a header that goes on in the next line', [`Authorization: Bearer`, ` ${key.text}`]],
    ['a space before the colon', [`Authorization : Bearer ${key.text}`]],
    ['a tab for the space', [`Authorization: Bearer\t${key.text}`]],
    ['a NUL in the key', [`Authorization: Bearer ${key.text}\0`]],
  ])('does not take %s for a key', async (_what, headers) => {
    const { status } = await send(await start(), 'Host: localhost', ...headers);
    expect([400, 401]).toContain(status);
  });

  test('refuses a head that is larger than any key', async () => {
    const { status } = await send(await start(), 'Host: localhost', `Authorization: Bearer ${'k'.repeat(20_000)}`);
    expect(status).toBe(431);
  });
});

test('an app without keys refuses to listen where others could reach it, and says what to set', async () => {
  await expect(start('0.0.0.0', null)).rejects.toMatchObject({
    code: 'FAILED_PRECONDITION',
    message: expect.stringMatching(
      /no API keys are configured; set the host to 127.0.0.1, or set ASSAY_SERVICE_KEY_FILE/,
    ),
  });
});
