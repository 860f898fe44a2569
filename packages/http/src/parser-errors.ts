/** What Node's HTTP parser refuses never becomes a request; it is answered on the socket, in the same form. */
import type { Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { AssayError } from '@assay/contracts';
import { newId } from '@assay/runtime';
import { renderAssayError } from './errors.ts';

export interface ParserErrorHooks {
  /** Told of each refusal with the status that was answered. */
  readonly refused: (statusCode: number, error: AssayError) => void;
}

/** The handler of `clientError`, and of what Node would otherwise answer by itself. */
export function createParserErrorHandler(hooks: ParserErrorHooks) {
  const refuse = (socket: Duplex, error: AssayError) => {
    const { statusCode } = answerOnSocket(socket, error);
    hooks.refused(statusCode, error);
  };
  return {
    onClientError(thrown: NodeJS.ErrnoException, socket: Duplex): void {
      if (thrown.code === 'ECONNRESET' || thrown.code === 'EPIPE' || socket.destroyed || !socket.writable) {
        socket.destroy();
        return;
      }
      refuse(socket, parserError(thrown));
    },
    /** `Expect` other than `100-continue` and `CONNECT` have no request handler either. */
    attach(server: Server): void {
      server.on('checkExpectation', (request) => {
        const expectation = JSON.stringify(request.headers.expect);
        refuse(
          request.socket,
          new AssayError('INVALID_ARGUMENT', `the expectation ${expectation} cannot be met; leave it out`),
        );
      });
      server.on('connect', (_request, socket) => {
        refuse(socket, new AssayError('METHOD_NOT_ALLOWED', 'CONNECT is not a method here: Assay is no proxy'));
      });
    },
  };
}

function parserError(thrown: NodeJS.ErrnoException): AssayError {
  switch (thrown.code) {
    case 'HPE_HEADER_OVERFLOW':
      return new AssayError('HEADERS_TOO_LARGE', 'the request line and headers are larger than this server takes', {
        cause: thrown,
      });
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return new AssayError('PAYLOAD_TOO_LARGE', 'the chunk extensions are larger than this server takes', {
        cause: thrown,
      });
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new AssayError('REQUEST_TIMEOUT', 'the request did not arrive in time; send it whole, at once', {
        cause: thrown,
      });
    default: {
      const reason = 'reason' in thrown && typeof thrown.reason === 'string' ? thrown.reason : thrown.message;
      return new AssayError('INVALID_ARGUMENT', `the request is not valid HTTP/1.1: ${reason}`, { cause: thrown });
    }
  }
}

const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  413: 'Payload Too Large',
  431: 'Request Header Fields Too Large',
};

/** Writes the answer by hand and ends the connection: after a parser's error nothing on it can be understood. */
function answerOnSocket(socket: Duplex, error: AssayError): { statusCode: number } {
  const requestId = newId('req');
  const { statusCode, body } = renderAssayError(error, { id: requestId, method: '', url: '' });
  if (hasAnswerUnderway(socket)) {
    socket.destroy(); // half an answer is on the wire; a second one behind it would be read as its body
    return { statusCode };
  }
  const text = JSON.stringify(body);
  socket.end(
    `HTTP/1.1 ${statusCode} ${REASONS[statusCode] ?? 'Error'}\r\ncontent-type: application/json\r\n` +
      `content-length: ${Buffer.byteLength(text)}\r\nassay-request-id: ${requestId}\r\nconnection: close\r\n\r\n${text}`,
  );
  // The rest of what the client sends is not read; without this a client that never ends would keep the socket.
  setTimeout(() => socket.destroy(), 1000).unref();
  return { statusCode };
}

function hasAnswerUnderway(socket: Duplex): boolean {
  // Node keeps the response being written as `_httpMessage` (its own documentation of `clientError` uses it)
  const { _httpMessage: message } = socket as Duplex & { _httpMessage?: { headersSent?: boolean } | null };
  return message?.headersSent === true;
}
