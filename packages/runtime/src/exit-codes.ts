import { AssayError, type ErrorCode } from '@assay/contracts';

/** What an Assay program's exit code says; the one table, from which the documentation is made. */
export const EXIT_CODES = {
  ok: { code: 0, description: 'Done, or stopped cleanly by SIGTERM or SIGINT.' },
  failure: { code: 1, description: 'A bug in Assay, or a stop that did not finish in time.' },
  usage: { code: 2, description: 'Wrong arguments, configuration or input; the message names the place.' },
  unavailable: {
    code: 3,
    description:
      'Something needed is not there now: a port is taken, a service is down, the disk is full. Try again later.',
  },
  refused: {
    code: 4,
    description:
      'Understood and refused: not found, exists already, stale, not permitted, or a model that was turned down.',
  },
  interrupted: { code: 130, description: 'A second SIGINT or SIGTERM: stopped at once, without draining.' },
} as const satisfies Record<string, { code: number; description: string }>;

const EXIT_OF_ERROR: Record<ErrorCode, keyof typeof EXIT_CODES> = {
  INVALID_ARGUMENT: 'usage',
  UNAUTHENTICATED: 'refused',
  PERMISSION_DENIED: 'refused',
  NOT_FOUND: 'refused',
  METHOD_NOT_ALLOWED: 'refused',
  REQUEST_TIMEOUT: 'unavailable',
  ALREADY_EXISTS: 'refused',
  STALE_REVISION: 'refused',
  FAILED_PRECONDITION: 'refused',
  PAYLOAD_TOO_LARGE: 'refused',
  UNSUPPORTED_MEDIA_TYPE: 'refused',
  RANGE_NOT_SATISFIABLE: 'refused',
  UNPROCESSABLE_MODEL: 'refused',
  HEADERS_TOO_LARGE: 'refused',
  RATE_LIMITED: 'unavailable',
  CANCELLED: 'interrupted',
  INTERNAL: 'failure',
  UNIMPLEMENTED: 'refused',
  OVERLOADED: 'unavailable',
  UNAVAILABLE: 'unavailable',
  DEADLINE_EXCEEDED: 'unavailable',
};

/** The exit code of a program that ends because of `thrown`. */
export function exitCodeOf(thrown: unknown): number {
  if (isMachineTrouble(thrown)) return EXIT_CODES.unavailable.code;
  return EXIT_CODES[EXIT_OF_ERROR[AssayError.from(thrown).code]].code;
}

/** A full disk and its like, where nobody made an AssayError of it. */
function isMachineTrouble(thrown: unknown): boolean {
  if (!(thrown instanceof Error) || thrown instanceof AssayError || !('code' in thrown)) return false;
  return ['ENOSPC', 'EDQUOT', 'EMFILE', 'ENFILE', 'EROFS', 'EACCES', 'EPERM', 'EADDRINUSE'].includes(
    String(thrown.code),
  );
}
