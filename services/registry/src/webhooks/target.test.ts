import { AssayError } from '@assay/contracts';
import { describe, expect, it } from 'vitest';
import { checkWebhookUrl, webhookNetworks } from './target.ts';

const none = webhookNetworks([]);
const own = webhookNetworks(['127.0.0.0/8', '::1/128', '10.1.0.0/16', 'fd00::/8']);

function refusalOf(url: string, networks = none): string {
  try {
    checkWebhookUrl(url, networks);
    return '';
  } catch (error) {
    return AssayError.from(error).message;
  }
}

describe('the address of a webhook', () => {
  it.each([
    'https://example.com/hook',
    'https://example.com:8443/',
    'https://93.184.216.34/x',
    'https://[2606:4700::1]/',
  ])('%s is taken', (url) => expect(refusalOf(url)).toBe(''));

  it.each([
    ['http://example.com/hook', 'http is not encrypted'],
    ['http://127.0.0.1:8080/', 'http is not encrypted'],
    ['http://localhost/', 'http is not encrypted'],
    ['ftp://example.com/', 'ftp: is not spoken'],
    ['file:///etc/passwd', 'file: is not spoken'],
    ['https://user:password@example.com/', 'a user or a password'],
    ['example.com', 'it is no address'],
    ['https://10.0.0.5/', '10.0.0.5 is no public address'],
    ['https://169.254.169.254/latest/meta-data', 'no public address'],
    ['https://2130706433/', '127.0.0.1 is no public address'],
    ['https://0x7f.1/', '127.0.0.1 is no public address'],
    ['https://[::1]/', '::1 is no public address'],
    ['https://[::ffff:10.0.0.1]/', 'no public address'],
    ['https://[fe80::1]/', 'no public address'],
    ['https://[64:ff9b::a00:1]/', 'no public address'],
    ['https://[2002:a00:1::]/', 'no public address'],
  ])('%s is refused: %s', (url, why) => expect(refusalOf(url)).toContain(why));

  it('may be this machine, by http too, and a private network, where the setting has it', () => {
    for (const url of ['http://127.0.0.1:8080/', 'http://localhost:1/', 'http://[::1]/', 'https://127.0.0.1/'])
      expect(refusalOf(url, own)).toBe('');
    expect(refusalOf('https://10.1.2.3/', own)).toBe('');
    expect(refusalOf('https://10.2.2.3/', own)).toContain('no public address');
    expect(refusalOf('http://10.1.2.3/', own)).toContain('not encrypted');
    expect(refusalOf('http://localhost/', webhookNetworks(['10.0.0.0/8']))).toContain('not encrypted');
  });

  it('is judged by the addresses of its name when it is called', () => {
    for (const address of [
      '10.0.0.1',
      '127.0.0.1',
      '::1',
      '::ffff:127.0.0.1',
      '::ffff:7f00:1',
      'fd00::1',
      '0.0.0.0',
      'x',
    ])
      expect([address, none.permits(address)]).toEqual([address, false]);
    for (const address of ['93.184.216.34', '2606:4700::1', '::ffff:93.184.216.34'])
      expect([address, none.permits(address)]).toEqual([address, true]);
    expect(own.permits('::ffff:127.0.0.1')).toBe(true);
  });

  it('of the setting must be networks', () => {
    for (const network of ['10.0.0.0', '10.0.0.0/33', 'fd00::/129', 'example.com/8', ''])
      expect(() => webhookNetworks([network])).toThrow('is no network');
  });
});
