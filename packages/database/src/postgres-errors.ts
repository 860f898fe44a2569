/** What PostgreSQL, or the way to it, reports: as one clear line of an AssayError, with no secret in it. */
import { AssayError, type ErrorCode } from '@assay/contracts';

interface Meaning {
  readonly code: ErrorCode;
  /** Continues "database WHERE: ". */
  readonly message: string;
}

const UNREACHABLE: Meaning = {
  code: 'UNAVAILABLE',
  message: 'cannot be reached; check that it runs, and its host and port',
};
const LOST: Meaning = { code: 'UNAVAILABLE', message: 'the connection was lost; try again' };
const STOPPING: Meaning = { code: 'UNAVAILABLE', message: 'is stopping or starting; try again' };
const CREDENTIALS: Meaning = {
  code: 'FAILED_PRECONDITION',
  message: 'refused the user or its password; check both, and what pg_hba.conf allows',
};
const RETRY: Meaning = { code: 'UNAVAILABLE', message: 'undid the change because of another one; try again' };
const TOO_SLOW: Meaning = { code: 'UNAVAILABLE', message: 'a statement took too long and was cancelled; try again' };

/** https://www.postgresql.org/docs/current/errcodes-appendix.html; a class (two characters) where no code is listed. */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  '08': LOST,
  '22021': { code: 'INVALID_ARGUMENT', message: 'a text holds a NUL character, which cannot be kept' },
  '25006': {
    code: 'FAILED_PRECONDITION',
    message: 'is read-only; name the primary server, or allow its user to write',
  },
  '25P03': { code: 'UNAVAILABLE', message: 'ended a change that was idle for too long; try again' },
  '28': CREDENTIALS,
  '3D000': { code: 'FAILED_PRECONDITION', message: 'there is no such database; make it, or correct its name' },
  '40': RETRY,
  '42501': {
    code: 'FAILED_PRECONDITION',
    message: 'the user may not do this; grant it the schema, or CREATE on the database',
  },
  '53100': { code: 'UNAVAILABLE', message: 'its disk is full; nothing of the change was kept. Free some space' },
  '53300': { code: 'UNAVAILABLE', message: 'has too many connections; raise max_connections, or lower maxReaders' },
  '53': { code: 'UNAVAILABLE', message: 'is out of resources; try again' },
  '55P03': {
    code: 'UNAVAILABLE',
    message: 'waited too long for the transactions ahead of this one; try again',
  },
  '57014': TOO_SLOW,
  '57P': STOPPING,
  '58': { code: 'UNAVAILABLE', message: 'its disk failed; look at its log' },
  XX001: { code: 'FAILED_PRECONDITION', message: 'is damaged; restore it from a backup' },
  XX002: { code: 'FAILED_PRECONDITION', message: 'is damaged; restore it from a backup' },
};

/** By the code of Node's network errors. */
const NETWORK: Readonly<Record<string, Meaning>> = {
  ECONNRESET: LOST,
  EPIPE: LOST,
  ENOTFOUND: { code: 'UNAVAILABLE', message: 'its host is not known here; check the host name' },
  EAI_AGAIN: { code: 'UNAVAILABLE', message: 'its host name cannot be looked up now; try again' },
};

/** By the words of `pg`, which gives these no code. */
const WORDS: readonly (readonly [RegExp, Meaning])[] = [
  [/timeout exceeded when trying to connect|timeout expired|due to connection timeout/, UNREACHABLE],
  [/Query read timeout/, TOO_SLOW],
  [/Connection terminated|not queryable|connection error/i, LOST],
  [/SASL|password must be a string/, CREDENTIALS],
  [
    /does not support SSL/,
    { code: 'FAILED_PRECONDITION', message: 'has no TLS; turn it on there, or leave out sslmode' },
  ],
];

/** `error` as an AssayError if it says that the database, or the way to it, is unwell; else as it is. */
export function mapPostgresError(error: unknown, where: string): unknown {
  if (!(error instanceof Error) || error instanceof AssayError) return error;
  const meaning = meaningOf(error);
  if (meaning === undefined) return error;
  return new AssayError(meaning.code, `database ${where}: ${meaning.message}`, { cause: error });
}

function meaningOf(error: Error): Meaning | undefined {
  const code = codeOf(error);
  if (isServerError(error) && code !== undefined) {
    return MEANINGS[code] ?? MEANINGS[code.slice(0, 3)] ?? MEANINGS[code.slice(0, 2)];
  }
  if (code !== undefined && /^(CERT|DEPTH|ERR_TLS|ERR_SSL|SELF_SIGNED|UNABLE_TO)/.test(code)) {
    return { code: 'FAILED_PRECONDITION', message: `its TLS certificate is not trusted (${code}); check sslrootcert` };
  }
  if (code !== undefined && /^E[A-Z]/.test(code)) return NETWORK[code] ?? UNREACHABLE;
  return WORDS.find(([words]) => words.test(error.message))?.[1];
}

/** Whether the connection that gave this error can be used no more. */
export function isConnectionBroken(error: unknown): boolean {
  if (!(error instanceof Error) || !isServerError(error)) return true;
  return error.severity !== 'ERROR';
}

export function hasPostgresCode(error: unknown, code: string): boolean {
  return error instanceof Error && isServerError(error) && codeOf(error) === code;
}

/** An error that the server sent, by its protocol, unlike one of the network or the client. */
function isServerError(error: Error): error is Error & { readonly severity: string } {
  return 'severity' in error && typeof error.severity === 'string';
}

function codeOf(error: Error): string | undefined {
  return 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
