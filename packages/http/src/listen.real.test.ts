import { createServer } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { appUnderTest } from './app-under-test.ts';
import { listen } from './listen.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

function start() {
  const { app } = appUnderTest();
  closers.push(() => app.close());
  return app;
}

describe('listening', () => {
  test.each(['127.0.0.1', 'localhost', '::1'])('on %s gives the URL with the port that it got', async (host) => {
    const url = await listen(start(), { host, port: 0 });
    expect(url).toMatch(host === '::1' ? /^http:\/\/\[::1\]:\d+$/ : /^http:\/\/127\.0\.0\.1:\d+$/);
    expect((await fetch(`${url}/livez`)).status).toBe(200);
  });

  test.each(['0.0.0.0', '::', '192.0.2.1', '::ffff:10.0.0.1'])('on %s is refused, saying what to do', async (host) => {
    await expect(listen(start(), { host, port: 0 })).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: expect.stringMatching(/^refusing to listen on .*no API keys.*set the host to 127\.0\.0\.1/),
    });
  });

  test('on a taken port is refused in one line with the port and the setting', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    closers.push(() => new Promise((resolve) => other.close(resolve)));
    const { port } = other.address() as { port: number }; // it listens on TCP
    await expect(
      listen(start(), { host: '127.0.0.1', port, portSetting: 'ASSAY_REGISTRY_PORT' }),
    ).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: `port ${port} on 127.0.0.1 is taken by another process; stop it, or set ASSAY_REGISTRY_PORT to another port`,
    });
  });

  test('on a name that is none is refused', async () => {
    await expect(listen(start(), { host: 'no-such-host.invalid', port: 0 })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });
});

describe('without keys', () => {
  test('a foreign name in Host is refused, as a rebound web page would send it', async () => {
    const url = await listen(start(), { host: '127.0.0.1', port: 0 });
    const { status, body } = await get(url, 'evil.example:8101');
    expect(status).toBe(403);
    expect(body).toMatchObject({
      error: { code: 'PERMISSION_DENIED', message: expect.stringContaining('evil.example') },
    });
  });

  test.each(['localhost:1', 'LOCALHOST', '127.9.9.9:80', '[::1]:80', 'assay.localhost'])(
    'Host %s is answered',
    async (host) => {
      const url = await listen(start(), { host: '127.0.0.1', port: 0 });
      expect((await get(url, host)).status).toBe(200);
    },
  );
});

/** `fetch` does not let a caller choose Host. */
async function get(url: string, host: string): Promise<{ status: number; body: unknown }> {
  const { connectRaw, lastAnswer } = await import('./app-under-test.ts');
  const connection = await connectRaw(url);
  connection.write(`GET /livez HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  return lastAnswer(await connection.closed);
}
