/** As little of an HTTP/1.1 client as a generator of load needs: one request at a time on a connection. */

const END_OF_HEAD = Buffer.from('\r\n\r\n');

/** A call with a JSON body, as it goes over the wire. */
export interface Post {
  readonly url: string;
  readonly path: string;
  readonly body: string | Buffer;
  readonly headers?: readonly string[];
}

export function postBytes({ url, path, body, headers = [] }: Post): Buffer {
  const length = `Content-Length: ${Buffer.byteLength(body)}`;
  const lines = [`POST ${path} HTTP/1.1`, `Host: ${new URL(url).host}`, 'Content-Type: application/json', ...headers];
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  return Buffer.concat([Buffer.from(`${[...lines, length].join('\r\n')}\r\n\r\n`), bytes]);
}

/** Takes what a connection reads, and tells `answered` the head of each answer once all of it has come, and its bytes. */
export function answerReader(answered: (head: string, bytes: Buffer) => void): (chunk: Buffer) => void {
  let held: Buffer | undefined;
  return (chunk) => {
    const bytes = held === undefined ? chunk : Buffer.concat([held, chunk]);
    const end = bytes.indexOf(END_OF_HEAD);
    const head = end < 0 ? '' : bytes.toString('latin1', 0, end);
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
    if (end < 0 || bytes.length < end + END_OF_HEAD.length + length) {
      held = Buffer.from(bytes); // the chunk may be read into again
      return;
    }
    held = undefined;
    answered(head, bytes);
  };
}
