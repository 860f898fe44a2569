/**
 * TLS of a service's doors. The files are read again every few seconds, as certificates are renewed while it runs; what is
 * compared is their contents, which a Kubernetes volume replaces behind symbolic links. A pair that is wrong leaves the one
 * that is served.
 */
import type { Server, TlsOptions } from 'node:tls';
import { AssayError } from '@assay/contracts';
import {
  type ConfigDefinition,
  counter,
  createMetrics,
  defineMetrics,
  gauge,
  type Logger,
  type Registry,
} from '@assay/runtime';
import type { TlsConfig } from './tls-config.ts';
import { checkTls, isSameTls, readTls, type TlsIdentity, type TlsPaths, tlsPaths } from './tls-files.ts';

export const tlsMetrics = defineMetrics('tls', {
  reloads: counter({
    name: 'assay_tls_reloads_total',
    help: 'Changes of the TLS files that were found, by outcome: loaded, failed (the certificate before goes on being served).',
    labels: ['outcome'],
  }),
  expiration: gauge({
    name: 'assay_tls_certificate_expiration_timestamp_seconds',
    help: 'When the certificate that is served ends, in Unix time. Only where the service speaks TLS.',
  }),
  failedHandshakes: counter({
    name: 'assay_tls_handshakes_failed_total',
    help: 'Connections that ended before they were encrypted: they spoke no TLS or too old a version, did not trust the certificate, showed none where one is asked for, or said nothing in time.',
  }),
});

/** Also what a pair that is being written may take: a wrong one is told when it is still there at the next look. */
const LOOK_MS = 5000;

/**
 * @param definition for the names of its variables in messages
 * @returns undefined where the settings ask for no TLS
 * @throws AssayError FAILED_PRECONDITION for settings that do not go together, and for files that cannot be read, are no
 *   PEM, or do not belong together
 */
export async function openServerTls(
  definition: ConfigDefinition,
  config: TlsConfig,
  { lookMs = LOOK_MS }: { readonly lookMs?: number } = {},
): Promise<ServerTls | undefined> {
  const paths = tlsPaths(definition, config);
  if (paths === undefined) return undefined;
  return new ServerTls(paths, checkTls(paths, await readTls(paths)), lookMs);
}

export class ServerTls {
  readonly #paths: TlsPaths;
  readonly #lookMs: number;
  readonly #servers = new Set<Server>();
  #served: TlsIdentity;
  #observer: TlsObserver | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;
  /** What was wrong at the last look. */
  #problem: { readonly message: string; readonly isTold: boolean } | undefined;

  constructor(paths: TlsPaths, served: TlsIdentity, lookMs: number) {
    this.#paths = paths;
    this.#served = served;
    this.#lookMs = lookMs;
  }

  /** What a server is made with: the certificate, and whether callers must show one. */
  get options(): TlsOptions {
    const asks = this.#paths.clientCa !== undefined;
    return { ...this.#served.context, requestCert: asks, rejectUnauthorized: asks };
  }

  /** Where it tells what it does; once, before a server listens. */
  observe(log: Logger, registry: Registry): void {
    this.#observer = createObserver(log, registry, () => this.#served);
  }

  /** While it listens, a server made with `options` serves what the files hold. */
  follow(server: Server): void {
    server.removeAllListeners('tlsClientError'); // Node's own would have the parser's errors answer, in plain text
    server.on('tlsClientError', (error, socket) => {
      this.#observer?.refused(error);
      socket.destroy();
    });
    server.once('listening', () => {
      this.#servers.add(server);
      server.setSecureContext(this.#served.context); // another may have listened, and looked, before
      this.#timer ??= setInterval(() => void this.#look(), this.#lookMs).unref();
    });
    server.once('close', () => {
      this.#servers.delete(server);
      if (this.#servers.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    });
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      const contents = await readTls(this.#paths);
      if (!isSameTls(contents, this.#served.contents)) this.#serve(checkTls(this.#paths, contents));
      this.#problem = undefined;
    } catch (error) {
      this.#fail(AssayError.from(error));
    } finally {
      this.#isLooking = false;
    }
  }

  #serve(identity: TlsIdentity): void {
    this.#served = identity;
    for (const server of this.#servers) server.setSecureContext(identity.context);
    this.#observer?.loaded();
  }

  #fail(error: AssayError): void {
    const { message } = error;
    const isStill = this.#problem?.message === message;
    const isTold = isStill && this.#problem?.isTold === true;
    if (isStill && !isTold) this.#observer?.failed(error);
    this.#problem = { message, isTold: isStill };
  }
}

interface TlsObserver {
  loaded(): void;
  failed(error: AssayError): void;
  refused(error: Error): void;
}

function createObserver(log: Logger, registry: Registry, served: () => TlsIdentity): TlsObserver {
  const { metrics } = createMetrics(tlsMetrics, { registry });
  const expiration = metrics.expiration.bind({});
  metrics.expiration.onScrape(() => expiration.set(served().notAfter.getTime() / 1000));
  const [loaded, failed] = [metrics.reloads.bind({ outcome: 'loaded' }), metrics.reloads.bind({ outcome: 'failed' })];
  const refused = metrics.failedHandshakes.bind({});
  const tell = (message: string): void => {
    const { notAfter } = served();
    const isOver = notAfter.getTime() < Date.now();
    log[isOver ? 'warn' : 'info'](
      { notAfter },
      isOver ? 'the TLS certificate has expired; clients refuse it' : message,
    );
  };
  tell('TLS is spoken');
  return {
    loaded() {
      loaded.inc();
      tell('another TLS certificate is served');
    },
    failed(error) {
      failed.inc();
      log.error({ err: error }, 'the TLS files have changed and cannot be used; the certificate before is served');
    },
    refused(error) {
      refused.inc();
      log.debug({ err: error }, 'a connection ended before it was encrypted');
    },
  };
}
