/** For tests: npm's s3rver on loopback, with the conditional requests that it lacks and S3 has. */
import { rm } from 'node:fs/promises';
import { createRequire } from 'node:module';

/** S3 gives 1000. */
const PAGE_KEYS = 100;

/** The parts of Koa and s3rver that are used; neither has types here. */
interface Context {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string | undefined>>;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly req: { resume(): void; readonly socket: { destroy(): void } };
  readonly response: { get(name: string): string };
  status: number;
  body: unknown;
  type: string;
}
type Middleware = (ctx: Context, next: () => Promise<void>) => Promise<void>;
interface Server {
  readonly middleware: Middleware[];
  readonly store: {
    existsObject(bucket: string, key: string): Promise<boolean>;
    listObjects(
      bucket: string,
      options: { prefix: string },
    ): Promise<{ objects: { key: string; size: number; lastModifiedDate: Date }[] }>;
  };
  run(): Promise<{ port: number }>;
  close(): Promise<void>;
  readonly httpServer: { closeAllConnections(): void };
}

export type Interference = number | 'cut' | 'lose';

export interface S3Server extends AsyncDisposable {
  readonly endpoint: string;
  /** Of the one user. */
  readonly credentials: { readonly AWS_ACCESS_KEY_ID: string; readonly AWS_SECRET_ACCESS_KEY: string };
  /** Called for each request: may fail it with a status, cut its answer off in the middle, or lose it. */
  interfere: (request: { method: string; path: string }) => Interference | undefined;
}

/**
 * Starts a server with one empty bucket.
 * @param listenOn an address of this host, for clients that are not on its loopback
 */
export async function startS3(directory: string, bucket: string, listenOn = '127.0.0.1'): Promise<S3Server> {
  const S3rver = createRequire(import.meta.url)('s3rver') as new (options: object) => Server; // its one export
  const server = new S3rver({
    address: listenOn,
    port: 0,
    silent: true,
    directory,
    configureBuckets: [{ name: bucket }],
  });
  const started: S3Server = {
    endpoint: '',
    credentials: { AWS_ACCESS_KEY_ID: 'S3RVER', AWS_SECRET_ACCESS_KEY: 'S3RVER' },
    interfere: () => undefined,
    async [Symbol.asyncDispose]() {
      server.httpServer.closeAllConnections();
      await server.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
  server.middleware.unshift(
    interfering(() => started.interfere),
    listing(server),
    conditional(server),
  );
  const { port } = await server.run();
  return Object.assign(started, { endpoint: `http://${listenOn}:${port}` });
}

/**
 * S3 lists by the bytes of the keys; s3rver by its folders, and its pages need a cipher that Node no longer has.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
 */
function listing({ store }: Server): Middleware {
  return async (ctx, next) => {
    if (ctx.method !== 'GET' || ctx.query['list-type'] !== '2') return next();
    const bucket = ctx.path.replaceAll('/', '');
    const after = ctx.query['continuation-token'] ?? '';
    const { objects } = await store.listObjects(bucket, { prefix: ctx.query.prefix ?? '' });
    const rest = objects.filter(({ key }) => key > after).toSorted((a, b) => (a.key < b.key ? -1 : 1));
    const page = rest.slice(0, PAGE_KEYS);
    const last = page.length < rest.length ? page.at(-1)?.key : undefined;
    // Keys and sizes need no escaping here: the stores' keys have no character that XML reserves.
    const contents = page
      .map(({ key, size, lastModifiedDate: at }) => {
        return `<Contents><Key>${key}</Key><Size>${size}</Size><LastModified>${at.toISOString()}</LastModified></Contents>`;
      })
      .join('');
    const more = last === undefined ? '' : `<NextContinuationToken>${last}</NextContinuationToken>`;
    ctx.type = 'application/xml';
    ctx.body = `<ListBucketResult><IsTruncated>${last !== undefined}</IsTruncated>${more}${contents}</ListBucketResult>`;
  };
}

function interfering(current: () => S3Server['interfere']): Middleware {
  return async (ctx, next) => {
    const how = current()(ctx);
    if (typeof how === 'number') {
      ctx.req.resume();
      ctx.status = how;
      ctx.type = 'application/xml';
      ctx.body = '<Error><Code>InternalError</Code></Error>';
      return;
    }
    await next();
    if (how === 'lose') ctx.req.socket.destroy();
    if (how === 'cut') setTimeout(() => ctx.req.socket.destroy(), 20);
  };
}

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html, one write of a key at a time. */
function conditional(server: Server): Middleware {
  const queues = new Map<string, Promise<void>>();
  return async (ctx, next) => {
    const [, bucket = '', ...rest] = decodeURIComponent(ctx.path).split('/');
    const isWrite = ctx.headers['if-none-match'] === '*' && (ctx.method === 'PUT' || ctx.method === 'POST');
    if (isWrite) {
      const turn = queues.get(ctx.path) ?? Promise.resolve();
      const done = Promise.withResolvers<void>();
      queues.set(ctx.path, done.promise);
      await turn;
      try {
        if (await server.store.existsObject(bucket, rest.join('/'))) refuse(ctx);
        else await next();
      } finally {
        done.resolve();
      }
      return;
    }
    await next();
    const wanted = ctx.headers['if-match'];
    if (ctx.method === 'GET' && wanted !== undefined && ctx.status < 300 && ctx.response.get('etag') !== wanted)
      refuse(ctx);
  };
}

function refuse(ctx: Context): void {
  ctx.req.resume();
  ctx.status = 412;
  ctx.type = 'application/xml';
  ctx.body = '<Error><Code>PreconditionFailed</Code><Message>A condition did not hold</Message></Error>';
}
