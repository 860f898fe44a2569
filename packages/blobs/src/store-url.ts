/** `s3://bucket/prefix?endpoint=…`, `az://container/prefix?endpoint=…`: the parts of an object store's url. */
import { AssayError, nearest } from '@assay/contracts';
import { checkPrefix } from './blob-store.ts';

export interface StoreUrl {
  /** The bucket or container. */
  readonly bucket: string;
  /** Empty, or ends in `/`. */
  readonly prefix: string;
  readonly parameters: ReadonlyMap<string, string>;
}

export function parseStoreUrl(text: string, known: readonly string[]): StoreUrl {
  if (!URL.canParse(text)) throw wrong(`the blob store url cannot be read`);
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') {
    throw wrong('credentials do not belong into a blob store url; set them in the environment');
  }
  if (!/^[a-z0-9][a-z0-9.-]{1,62}$/.test(url.host)) {
    throw wrong(`"${url.host}" is no bucket name; expected ${url.protocol}//BUCKET/PREFIX`);
  }
  const prefix = url.pathname.replace(/^\/+|\/+$/g, '');
  checkPrefix(prefix);
  const parameters = new Map(url.searchParams);
  for (const name of parameters.keys()) {
    if (known.includes(name)) continue;
    const suggestion = nearest(name, known);
    const hint = suggestion === undefined ? `known: ${known.join(', ')}` : `did you mean "${suggestion}"?`;
    throw wrong(`there is no parameter "${name.slice(0, 50)}" of ${url.protocol} urls; ${hint}`);
  }
  const endpoint = parameters.get('endpoint');
  if (endpoint !== undefined && !/^https?:\/\/[^?#]+$/.test(endpoint)) {
    throw wrong(`endpoint "${endpoint.slice(0, 100)}" is no http(s) url`);
  }
  return { bucket: url.host, prefix: prefix === '' ? '' : `${prefix}/`, parameters };
}

function wrong(message: string): AssayError {
  return new AssayError('INVALID_ARGUMENT', `blob store url: ${message}`);
}
