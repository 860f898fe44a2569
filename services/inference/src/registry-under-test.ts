/** For the tests of this service: the two routes of a registry that it uses, on a real port, with real packages behind. */
import { createReadStream } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import type {
  EndpointCache,
  EndpointLimits,
  ReportShadows,
  RoutedEndpoint,
  RoutedVersion,
  RoutingSnapshot,
  Signature,
} from '@assay/contracts';
import type { MadeModel } from './models-under-test.ts';

export interface RoutedModel {
  readonly made: MadeModel;
  readonly weight: number;
}

export interface RouteOptions {
  readonly silent?: boolean;
  readonly contract?: Signature;
  readonly limits?: EndpointLimits;
  readonly cache?: EndpointCache;
  readonly shadows?: readonly { readonly made: MadeModel; readonly ratio: number }[];
  /** What a newer registry would say of the endpoint besides. */
  readonly unknown?: Readonly<Record<string, unknown>>;
}

export interface RegistryUnderTest {
  readonly url: string;
  /** Makes `endpoint` serve these, under the next revision. `silent`: nobody who waits is told, as if the event was lost. */
  route(endpoint: string, models: readonly RoutedModel[], options?: RouteOptions): void;
  /** Changes the bytes of every file that it hands out from now on. */
  damageFiles(damaged: boolean): void;
  readonly downloads: string[];
  /** What it was told of shadows. */
  readonly shadowReports: readonly ReportShadows[];
  /** Ends every connection and answers no more, until `comeBack`. */
  goAway(): Promise<void>;
  comeBack(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function startRegistry(): Promise<RegistryUnderTest> {
  const versions = new Map<string, { made: MadeModel; routed: RoutedVersion }>();
  const endpoints = new Map<string, RoutedEndpoint>();
  const waiting = new Set<() => void>();
  const downloads: string[] = [];
  const shadowReports: ReportShadows[] = [];
  let revision = 0;
  let damaged = false;

  const snapshot = (): RoutingSnapshot => ({
    revision,
    endpoints: [...endpoints.values()],
    versions: [
      ...new Set([...endpoints.values()].flatMap((e) => [...e.variants, ...(e.shadows ?? [])].map((v) => v.versionId))),
    ].flatMap((id) => versions.get(id)?.routed ?? []),
  });

  function answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', 'http://registry');
    const file = /^\/v1\/versions\/([^/]+)\/files\/(.+)$/.exec(url.pathname);
    if (file !== null) {
      const [, id = '', path = ''] = file;
      downloads.push(`${id}/${path}`);
      const { made } = versions.get(decodeURIComponent(id)) ?? {};
      if (made === undefined) return void response.writeHead(404).end();
      response.writeHead(200, { 'content-type': 'application/octet-stream' });
      if (damaged) return void response.end('damaged');
      createReadStream(join(made.dir, decodeURIComponent(path))).pipe(response);
      return;
    }
    if (url.pathname.endsWith('/shadow-reports')) {
      void json(request).then((report) => {
        shadowReports.push(report as ReportShadows); // as the service sends it
        response.writeHead(204).end();
      });
      return;
    }
    const send = () => {
      clearTimeout(timer);
      waiting.delete(send);
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(snapshot()));
    };
    const after = url.searchParams.get('after');
    let timer: NodeJS.Timeout | undefined;
    if (after === null || revision > Number(after)) {
      send();
      return;
    }
    timer = setTimeout(send, Number(url.searchParams.get('waitMs') ?? 0));
    waiting.add(send);
  }

  let server = createServer(answer);
  const listen = (port: number) => new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  await listen(0);
  const { port } = server.address() as AddressInfo; // it listens on TCP

  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });

  return {
    url: `http://127.0.0.1:${port}`,
    downloads,
    shadowReports,
    route(name, models, options = {}) {
      revision++;
      const versionOf = (made: MadeModel): string => {
        const id = made.digest.slice(0, 26);
        const number = versions.get(id)?.routed.version ?? versions.size + 1;
        const files = made.files;
        versions.set(id, {
          made,
          routed: { id, modelId: 'mdl_1', modelName: name, version: number, digest: made.digest, files },
        });
        return id;
      };
      const variants = models.map(({ made, weight }) => ({ versionId: versionOf(made), weight }));
      const shadows = options.shadows?.map(({ made, ratio }) => ({ versionId: versionOf(made), ratio }));
      const contract = options.contract ?? models[0]?.made.manifest.signature;
      if (contract === undefined) endpoints.delete(name);
      else
        endpoints.set(name, {
          id: `ept_${name}`,
          name,
          revision,
          contract,
          salt: name,
          defaultTimeoutMs: 10_000,
          ...(options.limits === undefined ? {} : { limits: options.limits }),
          ...(options.cache === undefined ? {} : { cache: options.cache }),
          ...(shadows === undefined ? {} : { shadows }),
          ...options.unknown,
          variants,
        });
      if (options.silent !== true) for (const send of [...waiting]) send();
    },
    damageFiles: (now) => {
      damaged = now;
    },
    goAway: close,
    async comeBack() {
      server = createServer(answer);
      await listen(port);
    },
    [Symbol.asyncDispose]: close,
  };
}
