/**
 * Reads the heads that the lane understands, from bytes as they come: `METHOD SP target SP HTTP/1.1 CRLF`, headers of
 * `token: text CRLF`, CRLF (RFC 9112). Stricter than the standard in each doubtful place, since what this reader accepts
 * must be what every other reader of the same bytes would see; the fuzz test compares it with Node's.
 *
 * There are two **dialects**: that of the requests that the lane answers, and that of those that it passes on. Where a
 * head ends, and how long its body is, is read alike in both.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { HandoverReason } from './interfaces.ts';

export interface ParsedHead {
  readonly method: string;
  /** What stands between the method and the version. */
  readonly path: string;
  /** Of those that were given more than once, which only the dialect of `PASSED` allows, the first. */
  readonly headers: IncomingHttpHeaders;
  /** 0 where there is no `Content-Length`. */
  readonly contentLength: number;
  readonly hasContentLength: boolean;
  /** Bytes from the request line to the empty line, both included. */
  readonly sizeBytes: number;
}

/** `undefined`: more bytes are needed. */
export type HeadResult = ParsedHead | HandoverReason | undefined;

const MAX_HEADERS = 64;
const MAX_PATH_BYTES = 1024;
/** No body that the lane reads needs more digits. */
const MAX_LENGTH_DIGITS = 10;

const [CR, LF, SPACE, TAB, COLON] = [13, 10, 32, 9, 58] as const;

const VERSION = ' HTTP/1.1\r\n';

const UNRESERVED = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~';
const PRINTABLE = `\t${String.fromCharCode(...Array.from({ length: 95 }, (_, i) => SPACE + i))}`;
const OTHER_TEXT = String.fromCharCode(...Array.from({ length: 128 }, (_, i) => 128 + i));
/** tchar of RFC 9110, without capitals' own entries: names are lowered as they are read. */
const TOKEN = tableOf("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

/** Headers that change how the connection or the body is to be read. `connection` may say `keep-alive`, nothing else. */
const PROTOCOL_HEADERS: readonly string[] = [
  'transfer-encoding',
  'expect',
  'upgrade',
  'te',
  'trailer',
  'keep-alive',
  'proxy-connection',
  'http2-settings',
];

export interface HeadDialect {
  readonly methods: readonly string[];
  /** A target begins with a slash and has nothing but these. */
  readonly targetCharacters: Uint8Array;
  readonly valueCharacters: Uint8Array;
  readonly refusedHeaders: ReadonlySet<string>;
  /** Whether a header may be given more than once that says nothing about how the request is read. */
  readonly repeats: boolean;
}

/** Of requests to the lane's routes: a path without escapes, each header once, in ASCII, a body as it is. */
export const OWN: HeadDialect = {
  methods: ['POST', 'GET'],
  targetCharacters: tableOf(`/${UNRESERVED}`),
  valueCharacters: tableOf(PRINTABLE),
  refusedHeaders: new Set([...PROTOCOL_HEADERS, 'content-encoding']),
  repeats: false,
};

/** Of requests whose meaning is for Node and Fastify to find, but which bytes they are is plain. */
export const PASSED: HeadDialect = {
  methods: ['GET', 'POST', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
  targetCharacters: tableOf(`/${UNRESERVED}%!$&'()*+,;=:@?`),
  valueCharacters: tableOf(PRINTABLE + OTHER_TEXT),
  refusedHeaders: new Set(PROTOCOL_HEADERS),
  repeats: true,
};

/** Headers that no dialect lets stand twice. */
const SINGLE_HEADERS: ReadonlySet<string> = new Set(['host', 'content-length', 'connection']);

function tableOf(characters: string): Uint8Array {
  const table = new Uint8Array(256);
  for (const character of characters) table[character.charCodeAt(0)] = 1;
  return table;
}

/** One a connection. Reads one head after another; between two calls for one head the bytes before must not change. */
export class RequestHeadReader {
  readonly #maxBytes: number;
  readonly #dialect: HeadDialect;
  /** Relative to the request's first byte: the beginning of the line that is not read yet, and how far its end was sought. */
  #line = 0;
  #sought = 0;
  #method = '';
  #path = '';
  #headers: Record<string, string> = Object.create(null);
  #count = 0;

  constructor(maxBytes: number, dialect = OWN) {
    this.#maxBytes = maxBytes;
    this.#dialect = dialect;
  }

  /**
   * @param start of the request; the same request may stand elsewhere in the next call
   * @param end of what has arrived
   */
  read(bytes: Buffer, start: number, end: number): HeadResult {
    for (;;) {
      const from = start + this.#line;
      if (this.#line === 0) {
        const wrong = wrongBeginning(this.#dialect.methods, bytes, start, end);
        if (wrong !== undefined) return this.#end(wrong);
      }
      const found = bytes.indexOf(LF, start + this.#sought);
      const feed = found < end ? found : -1;
      const sizeBytes = (feed < 0 ? end : feed + 1) - start;
      if (sizeBytes > this.#maxBytes) return this.#end('header_size');
      if (feed < 0) {
        this.#sought = end - start;
        return undefined;
      }
      if (feed === from || bytes[feed - 1] !== CR) return this.#end(this.#line === 0 ? 'request_line' : 'header');
      if (feed === from + 1) return this.#line === 0 ? this.#end('request_line') : this.#finish(sizeBytes);
      const wrong = this.#line === 0 ? this.#requestLine(bytes, from, feed) : this.#header(bytes, from, feed - 1);
      if (wrong !== undefined) return this.#end(wrong);
      this.#line = sizeBytes;
      this.#sought = sizeBytes;
    }
  }

  /** Forgets what was read of a head, as when it turned out to be known. */
  reset(): void {
    if (this.#sought === 0) return;
    this.#line = 0;
    this.#sought = 0;
    this.#headers = Object.create(null);
    this.#count = 0;
  }

  #end<Result>(result: Result): Result {
    this.reset();
    return result;
  }

  #finish(sizeBytes: number): ParsedHead | HandoverReason {
    const headers = this.#headers;
    if (headers.host === undefined || headers.host === '') return this.#end('host');
    const text = headers['content-length'];
    return this.#end({
      method: this.#method,
      path: this.#path,
      headers,
      contentLength: text === undefined ? 0 : Number(text),
      hasContentLength: text !== undefined,
      sizeBytes,
    });
  }

  /** @param feed where the line feed is */
  #requestLine(bytes: Buffer, from: number, feed: number): HandoverReason | undefined {
    const { methods, targetCharacters } = this.#dialect;
    const method = methods.find((one) => startsWith(bytes, from, `${one} `));
    if (method === undefined || feed + 1 - VERSION.length <= from + method.length) return 'request_line';
    const pathFrom = from + method.length + 1;
    const pathEnd = feed + 1 - VERSION.length;
    if (!startsWith(bytes, pathEnd, VERSION)) return 'request_line';
    if (pathEnd - pathFrom > MAX_PATH_BYTES || bytes[pathFrom] !== 0x2f) return 'route';
    for (let i = pathFrom; i < pathEnd; i++) if (targetCharacters[bytes[i] ?? 0] !== 1) return 'route';
    this.#method = method;
    this.#path = bytes.toString('latin1', pathFrom, pathEnd);
    return undefined;
  }

  #header(bytes: Buffer, from: number, end: number): HandoverReason | undefined {
    if (++this.#count > MAX_HEADERS) return 'header_size';
    const { valueCharacters, refusedHeaders, repeats } = this.#dialect;
    let colon = from;
    while (colon < end && TOKEN[bytes[colon] ?? 0] === 1) colon++;
    if (colon === from || colon === end || bytes[colon] !== COLON) return 'header';
    let valueFrom = colon + 1;
    let valueEnd = end;
    while (valueFrom < valueEnd && isBlank(bytes[valueFrom])) valueFrom++;
    while (valueEnd > valueFrom && isBlank(bytes[valueEnd - 1])) valueEnd--;
    for (let i = valueFrom; i < valueEnd; i++) if (valueCharacters[bytes[i] ?? 0] !== 1) return 'header';
    const name = bytes.toString('latin1', from, colon).toLowerCase();
    if (refusedHeaders.has(name)) return 'protocol';
    const value = bytes.toString('latin1', valueFrom, valueEnd);
    if (this.#headers[name] !== undefined) {
      if (repeats && !SINGLE_HEADERS.has(name)) return undefined;
      return name === 'content-length' ? 'length' : 'header';
    }
    if (name === 'connection' && value.toLowerCase() !== 'keep-alive') return 'protocol';
    if (name === 'content-length' && !isPlainLength(value)) return 'length';
    this.#headers[name] = value;
    return undefined;
  }
}

/** Why these bytes cannot become a request line with one of these methods, as early as it can be known. */
function wrongBeginning(
  methods: readonly string[],
  bytes: Buffer,
  start: number,
  end: number,
): HandoverReason | undefined {
  for (const method of methods) {
    const expected = `${method} `;
    const length = Math.min(expected.length, end - start);
    if (startsWith(bytes, start, expected.slice(0, length))) return undefined;
  }
  return 'request_line';
}

function startsWith(bytes: Buffer, at: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text.charCodeAt(i)) return false;
  return true;
}

function isBlank(byte: number | undefined): boolean {
  return byte === SPACE || byte === TAB;
}

/** Digits only, no sign, no leading zero but 0 itself. */
function isPlainLength(text: string): boolean {
  if (text.length === 0 || text.length > MAX_LENGTH_DIGITS || (text.length > 1 && text.startsWith('0'))) return false;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return false;
  }
  return true;
}
