/** gzip and deflate, both ways (RFC 9110, 8.4 and 12.5.3). */
import type { IncomingHttpHeaders } from 'node:http';
import { promisify } from 'node:util';
import { constants, deflate, gunzip, gzip, inflate } from 'node:zlib';
import { AssayError } from '@assay/contracts';
import type { ScoringAnswer } from './scoring-body.ts';

const DECODERS = { gzip: promisify(gunzip), deflate: promisify(inflate) } as const;
const ENCODERS = { gzip: promisify(gzip), deflate: promisify(deflate) } as const;
type Coding = keyof typeof DECODERS;

/** Many clients say that they take gzip whatever they ask for; for less than this the network is cheaper than the coding. */
const MIN_ENCODED_BYTES = 8 * 1024;

/**
 * A body without its coding. It is bounded as it grows: a small one may unfold to gigabytes.
 * @throws UNSUPPORTED_MEDIA_TYPE, INVALID_ARGUMENT for what is not of this coding, PAYLOAD_TOO_LARGE
 */
export async function decodeContent(body: Buffer, encoding: string, limitBytes: number): Promise<Buffer> {
  const coding = encoding.toLowerCase();
  if (!isCoding(coding)) {
    throw new AssayError(
      'UNSUPPORTED_MEDIA_TYPE',
      `the content encoding ${JSON.stringify(encoding.slice(0, 100))} is not read by this route; send gzip, deflate, or the body as it is`,
    );
  }
  try {
    return await DECODERS[coding](body, { maxOutputLength: limitBytes });
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ERR_BUFFER_TOO_LARGE') {
      throw new AssayError('PAYLOAD_TOO_LARGE', `the body has more than ${limitBytes} bytes once it is decoded`);
    }
    const detail = {
      place: 'body',
      message: `is not ${encoding}`,
      expected: `what Content-Encoding says: ${encoding}`,
    };
    throw new AssayError('INVALID_ARGUMENT', `body: it is not ${coding}, as its Content-Encoding says`, {
      details: [detail],
      cause,
    });
  }
}

/** The answer in a coding that the caller takes, if that is worth it. */
export function encodeAnswer(
  headers: IncomingHttpHeaders,
  answer: ScoringAnswer,
): ScoringAnswer | Promise<ScoringAnswer> {
  const accepted = headers['accept-encoding'];
  if (accepted === undefined || answer.text.length + (answer.tail?.length ?? 0) < MIN_ENCODED_BYTES) return answer;
  const coding = chooseCoding(String(accepted));
  return coding === undefined ? answer : encode(answer, coding);
}

async function encode({ text, tail, ...answer }: ScoringAnswer, coding: Coding): Promise<ScoringAnswer> {
  const head = Buffer.from(text);
  const bytes = tail === undefined ? head : Buffer.concat([head, tail]);
  const encoded = await ENCODERS[coding](bytes, { level: constants.Z_BEST_SPEED });
  const headers = { ...answer.headers, 'content-encoding': coding, vary: 'accept-encoding' };
  return { ...answer, text: '', tail: encoded, headers };
}

/** The first of ours that the caller does not rule out by `q=0`; `*` is not taken for an answer. */
function chooseCoding(accepted: string): Coding | undefined {
  for (const part of accepted.toLowerCase().split(',')) {
    const [name = '', ...parameters] = part.split(';').map((word) => word.trim());
    if (isCoding(name) && !parameters.some((word) => /^q=0(\.0*)?$/.test(word))) return name;
  }
  return undefined;
}

function isCoding(name: string): name is Coding {
  return Object.hasOwn(DECODERS, name);
}
