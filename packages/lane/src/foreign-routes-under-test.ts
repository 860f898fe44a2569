/** For the tests of this package: routes that are Fastify's alone, with answers of every form. */
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { type App, acceptRawJson, acceptStreams } from '@assay/http';

/** A request to `/wait`, `/hang`, `/way` or `/stuck`. */
export interface Wait {
  /** Chunks that were asked for of it. */
  produced: number;
  end: 'none' | 'answered' | 'aborted';
}

export const CHUNK_BYTES = 64 * 1024;

/** @returns what became of requests; those to `/wait` are given a chunk after another until their number or their caller's end */
export function addForeignRoutes(app: App): Wait[] {
  const waits: Wait[] = [];
  const open = { config: { access: 'public' } } as const;
  app.get('/empty', open, (_request, reply) => reply.code(204).send());
  app.get('/unchanged', open, (_request, reply) => reply.code(304).header('etag', '"a"').send());
  app.get('/redirect', open, (_request, reply) => reply.redirect('/alive'));
  app.get('/peer', open, ({ raw, ip, protocol }) => {
    const { remoteAddress, remoteFamily, remotePort, localAddress, localPort } = raw.socket;
    return { ip, protocol, remoteAddress, remoteFamily, remotePort, localAddress, localPort };
  });
  app.get('/chunks', open, (_request, reply) =>
    reply.type('text/plain').send(Readable.from(['one', 'two', 'three'].map((text) => Buffer.from(text)))),
  );
  app.get('/broken', open, (_request, reply) => {
    const broken = async function* () {
      yield Buffer.from('one');
      await delay(20);
      throw new Error('the source is broken');
    };
    return reply.type('text/plain').send(Readable.from(broken()));
  });
  app.get<{ Params: { chunks: string; form: string } }>('/wait/:chunks/:form', open, (request, reply) => {
    if (request.params.form === 'sized') reply.header('content-length', CHUNK_BYTES * Number(request.params.chunks));
    const wait: Wait = { produced: 0, end: 'none' };
    waits.push(wait);
    const left = () => Number(request.params.chunks) - wait.produced;
    const chunks = new Readable({
      highWaterMark: CHUNK_BYTES,
      read() {
        if (left() > 0) this.push(Buffer.alloc(CHUNK_BYTES, 48 + (wait.produced++ % 10)));
        else if (request.params.chunks !== 'Infinity') this.push(null);
      },
    });
    reply.raw.once('close', () => {
      wait.end = reply.raw.writableFinished ? 'answered' : 'aborted';
    });
    return reply.type('text/plain').send(chunks);
  });
  app.get('/hang', open, async (request) => {
    const wait: Wait = { produced: 0, end: 'none' };
    waits.push(wait);
    await new Promise<void>((resolve) => request.raw.socket.once('close', resolve));
    wait.end = 'aborted';
    return {};
  });
  const ways = new Map<Socket, number>();
  app.get('/way', open, ({ raw: { socket } }) => {
    const known = ways.get(socket);
    const way = known ?? ways.size + 1;
    if (known === undefined) {
      ways.set(socket, way);
      const wait: Wait = { produced: way, end: 'none' };
      waits.push(wait);
      socket.once('close', () => {
        wait.end = 'aborted';
      });
    }
    return { way };
  });
  app.get('/impatient', open, async (request) => {
    request.raw.setTimeout(100);
    await new Promise<void>((resolve) => request.raw.socket.once('close', resolve));
    return {};
  });
  void app.register(async (plugin) => {
    const scope: App = plugin;
    acceptRawJson(scope, ['application/json', '*']);
    acceptStreams(scope, ['text/stream']);
    scope.post('/stuck', open, ({ body, raw }) => {
      (body as Readable).on('readable', () => {}); // of a content type that is given as one; wanted, but never read
      const wait: Wait = { produced: 0, end: 'none' };
      waits.push(wait);
      raw.socket.once('close', () => {
        wait.end = 'aborted';
      });
      return { stuck: true };
    });
    scope.post(
      '/mirror',
      { config: { access: 'public' }, bodyLimit: 40_000 },
      (request, reply) => reply.type('application/octet-stream').send(request.body as never), // sent as it is
    );
  });
  return waits;
}
