/** Certificate and key as files: read, and checked as far as can be before a client sees them. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { SecureContextOptions } from 'node:tls';
import { AssayError, whyUnreadable } from '@assay/contracts';
import { type ConfigDefinition, environmentName } from '@assay/runtime';
import type { TlsConfig } from './tls-config.ts';

interface PemFile {
  readonly path: string;
  /** What sets the path: `ASSAY_INFERENCE_TLS_CERT_FILE`. */
  readonly variable: string;
}

export interface TlsPaths {
  readonly cert: PemFile;
  readonly key: PemFile;
  readonly clientCa: PemFile | undefined;
}

export interface TlsContents {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly clientCa: Buffer | undefined;
}

/** What was checked, in the form that servers take. */
export interface TlsIdentity {
  readonly contents: TlsContents;
  readonly context: SecureContextOptions;
  /** When the certificate of the service ends. */
  readonly notAfter: Date;
}

const BELONG = 'belong together; set both or none';

/**
 * @param definition for the names of its variables in messages
 * @returns undefined where the settings ask for no TLS
 * @throws AssayError FAILED_PRECONDITION for settings that do not go together
 */
export function tlsPaths(definition: ConfigDefinition, config: TlsConfig): TlsPaths | undefined {
  const named = (key: keyof TlsConfig): PemFile | undefined => {
    const path = config[key];
    return path === undefined ? undefined : { path, variable: environmentName(definition, key) };
  };
  const [cert, key, clientCa] = [named('tlsCertFile'), named('tlsKeyFile'), named('tlsClientCaFile')];
  const [certName, keyName] = [environmentName(definition, 'tlsCertFile'), environmentName(definition, 'tlsKeyFile')];
  if ((cert === undefined) !== (key === undefined)) throw wrong(`${certName} and ${keyName} ${BELONG}`);
  if (cert !== undefined && key !== undefined) return { cert, key, clientCa };
  if (clientCa !== undefined) throw wrong(`${clientCa.variable} needs ${certName} and ${keyName}`);
  return undefined;
}

/** @throws AssayError FAILED_PRECONDITION for a file that cannot be read */
export async function readTls({ cert, key, clientCa }: TlsPaths): Promise<TlsContents> {
  const [certBytes, keyBytes, caBytes] = await Promise.all([
    read(cert),
    read(key),
    clientCa === undefined ? undefined : read(clientCa),
  ]);
  return { cert: certBytes, key: keyBytes, clientCa: caBytes };
}

/** @throws AssayError FAILED_PRECONDITION for what is no PEM, and a key that is another certificate's */
export function checkTls(paths: TlsPaths, contents: TlsContents): TlsIdentity {
  const { cert, key, clientCa: ca } = contents;
  const leaf = parse(paths.cert, cert, 'certificate', (pem) => new X509Certificate(pem));
  const privateKey = parse(paths.key, key, 'private key without a passphrase', (pem) => createPrivateKey(pem));
  if (ca !== undefined && paths.clientCa !== undefined) {
    parse(paths.clientCa, ca, 'certificate', (pem) => new X509Certificate(pem));
  }
  if (!leaf.checkPrivateKey(privateKey)) {
    throw wrong(`the key in ${shown(paths.key)} is not that of the certificate in ${shown(paths.cert)}`);
  }
  const context = { cert, key, ...(ca === undefined ? {} : { ca }), minVersion: 'TLSv1.2' } as const;
  try {
    process.getBuiltinModule('node:tls').createSecureContext(context); // not loaded where no TLS is asked for
  } catch (error) {
    throw wrong(`the certificate in ${shown(paths.cert)} cannot be used: ${reasonOf(error)}`, error);
  }
  return { contents, context, notAfter: leaf.validToDate };
}

export function isSameTls(a: TlsContents, b: TlsContents): boolean {
  const isSameCa =
    a.clientCa === undefined || b.clientCa === undefined ? a.clientCa === b.clientCa : a.clientCa.equals(b.clientCa);
  return a.cert.equals(b.cert) && a.key.equals(b.key) && isSameCa;
}

async function read(file: PemFile): Promise<Buffer> {
  try {
    return await readFile(file.path);
  } catch (error) {
    throw wrong(`${whyUnreadable(error, file.path)} (${file.variable})`, error);
  }
}

function parse<T>(file: PemFile, bytes: Buffer, what: string, parser: (pem: Buffer) => T): T {
  try {
    // Both parsers take DER too, which no server does.
    if (bytes.includes('-----BEGIN ')) return parser(bytes);
  } catch (error) {
    throw wrong(`${shown(file)} holds no ${what} in PEM: ${reasonOf(error)}`, error);
  }
  throw wrong(`${shown(file)} holds no ${what} in PEM`);
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function shown({ path, variable }: PemFile): string {
  return `${path} (${variable})`;
}

function wrong(message: string, cause?: unknown): AssayError {
  return new AssayError('FAILED_PRECONDITION', `TLS: ${message}`, cause === undefined ? {} : { cause });
}
