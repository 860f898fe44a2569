/** Files of JSON lines with a digest, written and read in constant memory. */
import { createHash, type Hash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { AssayError } from '@assay/contracts';

const WRITE_BYTES = 256 * 1024;

export interface WrittenLines {
  readonly lines: number;
  readonly sha256: string;
}

/** Durable when it resolves. */
export async function writeLines(path: string, values: AsyncIterable<unknown>): Promise<WrittenLines> {
  await using file = await open(path, 'wx');
  const hash = createHash('sha256');
  let lines = 0;
  let text = '';
  const flush = async (): Promise<void> => {
    hash.update(text);
    await file.writeFile(text);
    text = '';
  };
  for await (const value of values) {
    lines += 1;
    text += `${JSON.stringify(value)}\n`;
    if (text.length >= WRITE_BYTES) await flush();
  }
  await flush();
  await file.sync();
  return { lines, sha256: hash.digest('hex') };
}

/**
 * The values of the lines. The digest is known at the end: what came before is not to be trusted until the iteration ended.
 * @throws AssayError INVALID_ARGUMENT for a line that is no JSON, and for another digest
 */
export async function* readLines(path: string, sha256: string): AsyncGenerator<unknown> {
  await using file = await open(path, 'r').catch((cause: unknown) => {
    throw new AssayError('INVALID_ARGUMENT', `${path} is missing; the backup is damaged`, { cause });
  });
  const hash = createHash('sha256');
  for await (const line of linesOf(file.createReadStream({ autoClose: false }), hash)) {
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (cause) {
      throw new AssayError('INVALID_ARGUMENT', `${path} has a line that is no JSON; the backup is damaged`, { cause });
    }
    yield value;
  }
  if (hash.digest('hex') !== sha256) {
    throw new AssayError('INVALID_ARGUMENT', `${path} is not what the manifest says: its digest is another`);
  }
}

async function* linesOf(stream: AsyncIterable<Buffer>, hash: Hash): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of stream) {
    hash.update(chunk);
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = parts.pop() ?? '';
    yield* parts;
  }
  if (rest !== '') yield rest;
}
