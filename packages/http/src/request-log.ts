import type { FastifyBaseLogger } from 'fastify';

type Bindings = Record<string, unknown>;

/**
 * Loggers of single requests, made when the first line is written: a pino child a request costs more than most requests
 * do, and most write nothing.
 */
export function createRequestLogFactory() {
  return (log: FastifyBaseLogger, bindings: Bindings, options: object): FastifyBaseLogger =>
    new RequestLog(log, bindings, options) as FastifyBaseLogger; // it has every member, see below
}

class RequestLog {
  readonly #parent: FastifyBaseLogger;
  readonly #bindings: Bindings;
  readonly #options: object;
  #made: FastifyBaseLogger | undefined;

  constructor(parent: FastifyBaseLogger, bindings: Bindings, options: object) {
    this.#parent = parent;
    this.#bindings = bindings;
    this.#options = options;
  }

  get #child(): FastifyBaseLogger {
    this.#made ??= this.#parent.child(this.#bindings, this.#options);
    return this.#made;
  }

  get level(): string {
    return this.#parent.level;
  }

  trace(...line: Parameters<FastifyBaseLogger['trace']>): void {
    this.#child.trace(...line);
  }

  debug(...line: Parameters<FastifyBaseLogger['debug']>): void {
    this.#child.debug(...line);
  }

  info(...line: Parameters<FastifyBaseLogger['info']>): void {
    this.#child.info(...line);
  }

  warn(...line: Parameters<FastifyBaseLogger['warn']>): void {
    this.#child.warn(...line);
  }

  error(...line: Parameters<FastifyBaseLogger['error']>): void {
    this.#child.error(...line);
  }

  fatal(...line: Parameters<FastifyBaseLogger['fatal']>): void {
    this.#child.fatal(...line);
  }

  silent(): void {}

  child(bindings: Bindings, options?: object): FastifyBaseLogger {
    return this.#child.child(bindings, options);
  }
}
