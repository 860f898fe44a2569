import { expect, test } from 'vitest';
import { formatKeyText, newSecret, parseKeyText, secretSha256 } from './access-key.ts';

test('a secret is 43 letters and digits, and never the same', () => {
  const secrets = Array.from({ length: 1000 }, newSecret);
  for (const secret of secrets) expect(secret).toMatch(/^[0-9A-Za-z]{43}$/);
  expect(new Set(secrets).size).toBe(secrets.length);
  // every position varies: no bits are lost on the way to base 62
  for (let i = 1; i < 43; i++) expect(new Set(secrets.map((secret) => secret[i])).size).toBeGreaterThan(50);
});

test('a key is read back from its text, also when its id has dashes and lines', () => {
  for (const id of ['key_01jd8q2v7k3m9x4w5e6r7t8y9z', 'key-inference', 'a_b_c']) {
    const key = { id, secret: newSecret() };
    expect(parseKeyText(formatKeyText(key))).toEqual(key);
  }
});

test('what is no key is none', () => {
  const text = formatKeyText({ id: 'key_1', secret: newSecret() });
  const wrong = [
    '',
    'assay',
    'assay_',
    `${text}\n`,
    ` ${text}`,
    text.replace('assay', 'ASSAY'),
    `${text}é`,
    'x'.repeat(1e6),
  ];
  for (const one of wrong) expect(parseKeyText(one)).toBeUndefined();
});

test('the digest is the SHA-256 of the secret', () => {
  expect(secretSha256('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
});
