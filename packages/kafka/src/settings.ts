/** How to reach a Kafka cluster: addresses, TLS and SASL. */
import { readFileSync } from 'node:fs';
import { AssayError } from '@assay/contracts';
import type { Kafka, KafkaConfig, logLevel, SASLOptions } from 'kafkajs';
import { replaceKafkajsParts } from './kafkajs-parts.ts';
import { registerZstd } from './zstd.ts';

export interface KafkaTls {
  /** PEM file of the authority that signed the brokers' certificates; without it the system's are trusted. */
  readonly caFile?: string;
  /** PEM files of the client's own certificate, for mutual TLS; both or none. */
  readonly certFile?: string;
  readonly keyFile?: string;
}

export interface KafkaSasl {
  readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
  readonly username: string;
  /** Read at each connection, so that the text itself is held by the secret only. */
  readonly password: () => string;
}

export interface KafkaSettings {
  /** `host:port` of some brokers of the cluster; the others are found through them. */
  readonly brokers: readonly string[];
  /** Names this process in the brokers' logs and quotas. */
  readonly clientId: string;
  readonly tls?: KafkaTls;
  readonly sasl?: KafkaSasl;
  /** Time to connect to one broker. Default 5,000. */
  readonly connectTimeoutMs?: number;
  /** Time to answer one request. Default 30,000. */
  readonly requestTimeoutMs?: number;
  /** Receives what the client would log. Default: nothing. */
  readonly onLog?: (level: 'error' | 'warn' | 'info' | 'debug', message: string, fields: object) => void;
}

export interface RetryPace {
  /** The first wait; it also paces every commit of a transaction, see exactly-once.ts. */
  readonly initialRetryTimeMs: number;
  readonly maxRetryTimeMs: number;
  readonly retries: number;
}

/** A kafkajs client; the library itself is loaded here and nowhere else, when Kafka is really used. */
export async function openKafka(settings: KafkaSettings, pace: RetryPace): Promise<Kafka> {
  const kafkajs = await loadKafkajs();
  const config: KafkaConfig = {
    brokers: [...settings.brokers],
    clientId: settings.clientId,
    connectionTimeout: settings.connectTimeoutMs ?? 5000,
    authenticationTimeout: settings.connectTimeoutMs ?? 5000,
    requestTimeout: settings.requestTimeoutMs ?? 30_000,
    enforceRequestTimeout: true,
    retry: {
      initialRetryTime: pace.initialRetryTimeMs,
      maxRetryTime: pace.maxRetryTimeMs,
      retries: pace.retries,
      // What to do after a failure is decided by who runs the consumer, not by the library.
      restartOnFailure: async () => false,
    },
    logLevel: settings.onLog === undefined ? kafkajs.logLevel.NOTHING : kafkajs.logLevel.INFO,
    logCreator: () => (entry) => {
      const { message, timestamp: _, ...fields } = entry.log;
      settings.onLog?.(levelName(entry.level, kafkajs.logLevel), message, fields);
    },
    ...(settings.tls === undefined ? {} : { ssl: readTls(settings.tls) }),
    ...(settings.sasl === undefined ? {} : { sasl: readSasl(settings.sasl) }),
  };
  return new kafkajs.Kafka(config);
}

type Kafkajs = typeof import('kafkajs');
let loaded: Promise<Kafkajs> | undefined;

export function loadKafkajs(): Promise<Kafkajs> {
  loaded ??= load();
  return loaded;
}

async function load(): Promise<Kafkajs> {
  replaceKafkajsParts();
  // kafkajs is CommonJS: its names are on the default export.
  const { default: kafkajs } = (await import('kafkajs')) as unknown as { default: Kafkajs };
  registerZstd(kafkajs);
  return kafkajs;
}

function readTls(tls: KafkaTls): NonNullable<Exclude<KafkaConfig['ssl'], boolean>> {
  if ((tls.certFile === undefined) !== (tls.keyFile === undefined)) {
    throw new AssayError('INVALID_ARGUMENT', 'kafka tls: a client certificate needs both certFile and keyFile');
  }
  return {
    rejectUnauthorized: true,
    ...(tls.caFile === undefined ? {} : { ca: [readPem('caFile', tls.caFile)] }),
    ...(tls.certFile === undefined ? {} : { cert: readPem('certFile', tls.certFile) }),
    ...(tls.keyFile === undefined ? {} : { key: readPem('keyFile', tls.keyFile) }),
  };
}

function readPem(setting: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new AssayError('INVALID_ARGUMENT', `kafka tls: ${setting} "${path}" cannot be read`, { cause });
  }
}

function readSasl(sasl: KafkaSasl): SASLOptions {
  return { mechanism: sasl.mechanism, username: sasl.username, password: sasl.password() };
}

function levelName(level: logLevel, levels: typeof logLevel): 'error' | 'warn' | 'info' | 'debug' {
  if (level === levels.ERROR) return 'error';
  if (level === levels.WARN) return 'warn';
  return level === levels.INFO ? 'info' : 'debug';
}
