/** Logs: JSON lines by pino, secrets redacted, sampled where a line a request would cost more than the request. */
import { AssayError } from '@assay/contracts';
import { type DestinationStream, type Logger, type LoggerOptions, pino } from 'pino';
import Type from 'typebox';
import { setting } from './config.ts';
import { sourceStack } from './source-stack.ts';

export type { Logger } from 'pino';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** The setting that every service has, under one name. */
export const logLevelSetting = setting(Type.Enum([...LOG_LEVELS]), {
  default: 'info',
  env: 'ASSAY_LOG_LEVEL',
  description: 'The least severe lines that are logged. At `debug` each request is a line, at `info` a sample of them.',
});

/** Where keys, passwords and tokens turn up in what is logged. */
const REDACTED = ['authorization', 'cookie', 'password', 'token', 'secret', 'apiKey', '["x-api-key"]'].flatMap(
  (key) => {
    const member = key.startsWith('[') ? key : `.${key}`;
    return [key, `*${member}`, `*.headers${member}`];
  },
);

export interface CreateLoggerOptions {
  /** Stands in every line as `service`. */
  readonly service: string;
  readonly level?: LogLevel;
  /** Standard output when absent. */
  readonly destination?: DestinationStream;
}

/** A logger whose lines have `level` as a word, `time` in RFC 3339, `service`, and errors with their code and causes. */
export function createLogger(options: CreateLoggerOptions): Logger {
  const loggerOptions: LoggerOptions = {
    level: options.level ?? 'info',
    base: { service: options.service, pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: { paths: REDACTED, censor: '[secret]' },
    serializers: { err: serializeError },
  };
  return options.destination === undefined ? pino(loggerOptions) : pino(loggerOptions, options.destination);
}

const MAX_CAUSES = 5;

function serializeError(thrown: unknown, depth = 0): unknown {
  if (!(thrown instanceof Error)) return thrown;
  return {
    type: thrown.name,
    message: thrown.message,
    ...(thrown instanceof AssayError ? { code: thrown.code, details: thrown.details.slice(0, 20) } : {}),
    stack: thrown.stack === undefined ? undefined : sourceStack(thrown.stack),
    ...(thrown.cause !== undefined && depth < MAX_CAUSES ? { cause: serializeError(thrown.cause, depth + 1) } : {}),
  };
}

/** Decides which of many alike are logged. */
export interface Sampler {
  /** Whether one of the next `count` falls into the sample. */
  take(count?: number): boolean;
}

/**
 * A sample of `ratio` (0 to 1) by random gaps (geometric, so that nothing periodic is always or never seen): one
 * subtraction for what is not taken.
 */
export function createSampler(ratio: number, random: () => number = Math.random): Sampler {
  if (!(ratio > 0)) return { take: () => false };
  if (ratio >= 1) return { take: () => true };
  const scale = 1 / Math.log1p(-ratio);
  const nextGap = () => 1 + Math.floor(Math.log(1 - random()) * scale);
  let gap = nextGap();
  return {
    take(count = 1) {
      gap -= count;
      if (gap > 0) return false;
      gap = nextGap();
      return true;
    },
  };
}

/** Lets a burst through and then so many a second; what repeats a thousand times is said a few times, with its count. */
export interface LogLimiter {
  /** How many were held back since the last that went through, or undefined when this one is held back too. */
  take(): number | undefined;
}

export function createLogLimiter(perSecond: number, nowMs: () => number = () => performance.now()): LogLimiter {
  let tokens = perSecond;
  let refilledAtMs = nowMs();
  let heldBack = 0;
  return {
    take() {
      const now = nowMs();
      tokens = Math.min(perSecond, tokens + ((now - refilledAtMs) / 1000) * perSecond);
      refilledAtMs = now;
      if (tokens < 1) {
        heldBack++;
        return undefined;
      }
      tokens--;
      const count = heldBack;
      heldBack = 0;
      return count;
    },
  };
}
