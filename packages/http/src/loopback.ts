/**
 * What may be reached without keys: this machine, by its own names. An address that others can reach is refused when the
 * app begins to listen; a foreign name in `Host` is refused with each request, since a web page can point its own name at
 * 127.0.0.1 (DNS rebinding) and then speak to every port of whoever looks at it.
 */
import { lookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';
import { AssayError } from '@assay/contracts';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/**
 * The address to bind for `host`; `localhost` is 127.0.0.1, so that there is one socket and one URL.
 * @param keysSetting what would configure keys, for the message
 * @throws AssayError FAILED_PRECONDITION for an address that others can reach
 */
export async function resolveLoopback(host: string, keysSetting?: string): Promise<string> {
  const addresses = await addressesOf(host);
  const open = addresses.find((address) => !isLoopbackAddress(address));
  const [first] = addresses;
  if (open === undefined && first !== undefined) return first;
  const shown = open === undefined || host === open ? host : `${host} (${open})`;
  throw new AssayError(
    'FAILED_PRECONDITION',
    `refusing to listen on ${shown}: others could reach it and no API keys are configured; set the host to 127.0.0.1, ${keysSetting === undefined ? 'or reach it through a proxy or tunnel that authenticates' : `or ${keysSetting} (docs/security.md)`}`,
  );
}

/** The address to bind for `host`, whoever can reach it. */
export async function resolveAny(host: string): Promise<string> {
  const [first] = await addressesOf(host);
  return first ?? host;
}

async function addressesOf(host: string): Promise<string[]> {
  if (host === 'localhost') return ['127.0.0.1'];
  return isIP(host) === 0 ? resolveHost(host) : [host];
}

function isLoopbackAddress(address: string): boolean {
  const family = isIP(address);
  return family !== 0 && loopback.check(address, family === 6 ? 'ipv6' : 'ipv4');
}

async function resolveHost(host: string): Promise<string[]> {
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address);
  } catch (error) {
    throw new AssayError('INVALID_ARGUMENT', `the host ${host} is no address of this machine; set it to 127.0.0.1`, {
      cause: error,
    });
  }
}

/** Names seen before, since one is asked with each request; bounded, as callers choose them. */
const judged = new Map<string, boolean>();
const MAX_JUDGED = 100;

/** Whether a `Host` header names this machine: `localhost`, `127.0.0.1:8101`, `[::1]:8101`, or nothing at all. */
export function isLoopbackName(host: string | undefined): boolean {
  if (host === undefined) return true;
  let answer = judged.get(host);
  if (answer === undefined) {
    const name = host
      .replace(/:\d+$/, '')
      .replace(/^\[(.*)\]$/, '$1')
      .toLowerCase();
    answer = name === '' || name === 'localhost' || name.endsWith('.localhost') || isLoopbackAddress(name);
    if (judged.size < MAX_JUDGED) judged.set(host, answer);
  }
  return answer;
}

export function foreignHostError(host: string | undefined): AssayError {
  return new AssayError(
    'PERMISSION_DENIED',
    `the Host header names ${JSON.stringify(host)}; without API keys only localhost and loopback addresses are answered`,
  );
}
