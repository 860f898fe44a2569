/**
 * Where a webhook may post to. Whoever makes one lets the registry call an address for them: it must not reach what only the
 * registry can reach (metadata services of clouds, databases, its own loopback), unless who runs it says so. Names are
 * judged by the addresses that they have when the connection is made.
 */
import { BlockList, isIP, isIPv4 } from 'node:net';
import { AssayError } from '@assay/contracts';

/** What is reserved of IPv4: https://www.iana.org/assignments/iana-ipv4-special-registry */
const RESERVED_IPV4 = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const;
/** Global unicast is 2000::/3; what is reserved in there, or carries an IPv4 address. */
const RESERVED_IPV6 = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const;

const reserved = new BlockList();
for (const [network, prefix] of RESERVED_IPV4) reserved.addSubnet(network, prefix, 'ipv4');
for (const [network, prefix] of RESERVED_IPV6) reserved.addSubnet(network, prefix, 'ipv6');
const globalUnicast = new BlockList();
globalUnicast.addSubnet('2000::', 3, 'ipv6');
const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

export interface WebhookNetworks {
  /** Whether a connection to this IP address may be made. */
  permits(address: string): boolean;
}

/**
 * @param allowed networks that may be reached though they are reserved: `10.0.0.0/8,127.0.0.1/32`
 * @throws AssayError INVALID_ARGUMENT
 */
export function webhookNetworks(allowed: readonly string[]): WebhookNetworks {
  const exceptions = new BlockList();
  for (const network of allowed) {
    const [, address = '', prefix = ''] = /^([0-9a-fA-F.:]+)\/(\d{1,3})$/.exec(network) ?? [];
    const family = isIP(address);
    if (family === 0 || Number(prefix) > (family === 4 ? 32 : 128)) {
      throw new AssayError('INVALID_ARGUMENT', `"${network}" is no network; expected one like 10.0.0.0/8 or fd00::/8`);
    }
    exceptions.addSubnet(address, Number(prefix), familyOf(address));
  }
  return {
    permits(raw) {
      const address = plainAddress(raw);
      if (isIP(address) === 0) return false;
      if (exceptions.check(address, familyOf(address))) return true;
      return isIPv4(address)
        ? !reserved.check(address, 'ipv4')
        : globalUnicast.check(address, 'ipv6') && !reserved.check(address, 'ipv6');
    },
  };
}

/**
 * The address that is posted to.
 * @throws AssayError INVALID_ARGUMENT with what is wrong
 */
export function checkWebhookUrl(text: string, networks: WebhookNetworks): URL {
  const refuse = (message: string, expected: string): never => {
    throw new AssayError('INVALID_ARGUMENT', `url: ${message}; expected ${expected}`, {
      details: [{ place: 'url', message, expected }],
    });
  };
  const url = URL.parse(text) ?? refuse('it is no address', 'https://HOST/PATH');
  if (url.protocol !== 'https:' && url.protocol !== 'http:') refuse(`${url.protocol} is not spoken`, 'https://…');
  if (url.username !== '' || url.password !== '') {
    refuse('it has a user or a password, which every reader would see', 'an address without them');
  }
  url.hash = '';
  const host = hostOf(url);
  if (url.protocol === 'http:' && !(isLoopback(host) && networks.permits(host === 'localhost' ? '127.0.0.1' : host))) {
    refuse(
      'http is not encrypted',
      'https://…, or http to an address of this machine where the setting webhookAllowedNetworks has it',
    );
  }
  if (isIP(host) !== 0 && !networks.permits(host)) {
    refuse(`${host} is no public address`, 'a public one, or one of the setting webhookAllowedNetworks');
  }
  return url;
}

/** The name or IP address of a URL, without the brackets of IPv6. */
export function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '');
}

function isLoopback(host: string): boolean {
  const address = plainAddress(host);
  return host === 'localhost' || (isIP(address) !== 0 && loopback.check(address, familyOf(address)));
}

/** An IPv4 address that is written as IPv6 is that IPv4 address. */
function plainAddress(address: string): string {
  const dotted = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (dotted !== undefined) return dotted;
  const [, high, low] = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/i.exec(address) ?? [];
  if (high === undefined || low === undefined) return address;
  const [a, b] = [Number.parseInt(high, 16), Number.parseInt(low, 16)];
  return `${a >> 8}.${a & 255}.${b >> 8}.${b & 255}`;
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIPv4(address) ? 'ipv4' : 'ipv6';
}
