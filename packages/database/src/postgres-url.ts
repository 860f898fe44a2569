/** `postgres://user:password@host:5432/database?schema=registry`: what it may say, and what of it may be shown. */
import { readFileSync } from 'node:fs';
import { AssayError, nearest } from '@assay/contracts';

export interface PostgresAddress {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string | undefined;
  /** Read at each connection, so that a password file may change; undefined leaves it to PGPASSWORD or PGPASSFILE. */
  readonly password: (() => string) | undefined;
  readonly schema: string;
  readonly tls: PostgresTls | undefined;
  /** Connections that read; one more writes. */
  readonly maxReaders: number;
  /** For messages: the url without user and password. */
  readonly where: string;
}

export interface PostgresTls {
  readonly ca: string | undefined;
  readonly rejectUnauthorized: boolean;
}

const PARAMETERS = ['schema', 'sslmode', 'sslrootcert', 'passwordFile', 'maxReaders'] as const;
const EXPECTED = 'expected postgres://USER:PASSWORD@HOST:PORT/DATABASE?schema=NAME';
const DEFAULT_PORT = 5432;
const DEFAULT_MAX_READERS = 8;
/** What needs no quotes in SQL, so that it means the same wherever it is written. */
const SCHEMA = /^[a-z_][a-z0-9_]{0,62}$/;

/**
 * Parameters: `schema` (default `public`), `sslmode` (`disable`, the default; `require`: encrypted, the server not
 * verified; `verify-full`), `sslrootcert` (PEM file; without it the system's authorities), `passwordFile`, `maxReaders`.
 * @throws AssayError INVALID_ARGUMENT; no message holds a part of the url that may be secret
 */
export function parsePostgresUrl(text: string): PostgresAddress {
  if (!URL.canParse(text)) throw wrong(`the database url cannot be read; ${EXPECTED}`);
  const url = new URL(text);
  const database = decode(url.pathname.slice(1));
  if (url.hostname === '' || database === '') throw wrong(`the database url names no host or no database; ${EXPECTED}`);
  for (const name of url.searchParams.keys()) checkParameter(name);
  const value = (name: (typeof PARAMETERS)[number]): string | undefined => url.searchParams.get(name) ?? undefined;

  const schema = value('schema') ?? 'public';
  if (!SCHEMA.test(schema) || schema.startsWith('pg_')) {
    throw wrong(`database url: "${schema}" is no schema name; expected lower case letters, digits and _`);
  }
  const maxReaders = Number(value('maxReaders') ?? DEFAULT_MAX_READERS);
  if (!Number.isInteger(maxReaders) || maxReaders < 1 || maxReaders > 100) {
    throw wrong('database url: maxReaders must be an integer from 1 to 100');
  }
  const passwordFile = value('passwordFile');
  if (passwordFile !== undefined && url.password !== '') {
    throw wrong('database url: it has a password and a passwordFile; keep one');
  }
  const port = url.port === '' ? DEFAULT_PORT : Number(url.port);
  const password = decode(url.password);
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port,
    database,
    user: url.username === '' ? undefined : decode(url.username),
    password:
      passwordFile !== undefined
        ? () => readText('passwordFile', passwordFile).replace(/\r?\n$/, '')
        : password === ''
          ? undefined
          : () => password,
    schema,
    tls: readTls(value('sslmode') ?? 'disable', value('sslrootcert')),
    maxReaders,
    where: `postgres://${url.hostname}:${port}/${database}, schema ${schema}`,
  };
}

function readTls(mode: string, rootFile: string | undefined): PostgresTls | undefined {
  if (mode === 'disable') {
    if (rootFile !== undefined) throw wrong('database url: sslrootcert needs sslmode=verify-full');
    return undefined;
  }
  if (mode !== 'require' && mode !== 'verify-full') {
    throw wrong(`database url: sslmode is "${mode}"; expected disable, require or verify-full`);
  }
  return {
    ca: rootFile === undefined ? undefined : readText('sslrootcert', rootFile),
    rejectUnauthorized: mode === 'verify-full' || rootFile !== undefined,
  };
}

function checkParameter(name: string): void {
  if ((PARAMETERS as readonly string[]).includes(name)) return;
  const suggestion = nearest(name, PARAMETERS);
  const hint = suggestion === undefined ? `known are ${PARAMETERS.join(', ')}` : `did you mean "${suggestion}"?`;
  throw wrong(`database url: there is no parameter "${name.slice(0, 50)}"; ${hint}`);
}

function readText(parameter: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new AssayError('INVALID_ARGUMENT', `database url: ${parameter} "${path}" cannot be read`, { cause });
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw wrong('database url: a % is not followed by two hexadecimal digits; write % in a password as %25');
  }
}

function wrong(message: string): AssayError {
  return new AssayError('INVALID_ARGUMENT', message);
}
