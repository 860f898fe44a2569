import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect, createServer as createNetServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';

import { Passage } from './passage.ts';

test('a client by whose one request Node saw two is cut off', async () => {
  const http = createServer((_request, response) => response.end('answered'));
  http.prependListener('request', ({ socket }, response) => {
    if (socket instanceof Passage) socket.answerWith(response);
  });
  await using net = createNetServer().listen(0, '127.0.0.1');
  await once(net, 'listening');
  const client = connect((net.address() as AddressInfo).port, '127.0.0.1');
  const [socket]: Socket[] = await once(net, 'connection');
  if (socket === undefined) throw new Error('there is no connection');
  const request = Buffer.from('GET /a HTTP/1.1\r\nHost: a\r\n\r\n');
  const passage = new Passage(socket, () => {});
  http.emit('connection', passage);
  passage.begin(2 * request.length);
  passage.feed(Buffer.concat([request, request]));
  let received = '';
  for await (const chunk of client.setEncoding('latin1')) received += chunk;
  expect(received.split('answered').length).toBeLessThan(3);
  expect(socket.destroyed).toBe(true);
});
