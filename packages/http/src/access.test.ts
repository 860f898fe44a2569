import { AssayError, SCOPES } from '@assay/contracts';
import { describe, expect, it, test } from 'vitest';
import { bearer, guardedApp, makeKey, sourceOf } from './access-under-test.ts';
import { appUnderTest } from './app-under-test.ts';

const reader = makeKey(['read']);
const scorer = makeKey(['score'], ['churn', 'fraud']);
const anyScorer = makeKey(['score']);
const admin = makeKey(['admin']);
const all = sourceOf(reader, scorer, anyScorer, admin);

describe('a call with a key', () => {
  it('is let in where the key has the scope, and the route knows who calls', async () => {
    const { status, body } = await guardedApp(all).call('/read', bearer(reader));
    expect(status).toBe(200);
    expect(body.caller).toMatchObject({ principal: reader.entry.principalName, keyId: reader.entry.id });
  });

  it('is let in where the key has one of several scopes', async () => {
    const { call } = guardedApp(all);
    expect((await call('/either', bearer(reader))).status).toBe(200);
    expect((await call('/either', bearer(anyScorer))).status).toBe(200);
  });

  it('is refused where the key lacks the scope, with its name', async () => {
    const { status, body } = await guardedApp(all).call('/promote', bearer(reader));
    expect(status).toBe(403);
    expect(body.error).toMatchObject({
      code: 'PERMISSION_DENIED',
      message: `this needs the scope promote; key ${reader.entry.id} of ${reader.entry.principalName} has read`,
    });
  });

  it('of an administrator is let in everywhere', async () => {
    const { call } = guardedApp(all);
    for (const path of ['/read', '/promote', '/either', '/score/churn']) {
      expect((await call(path, bearer(admin))).status).toBe(200);
    }
  });

  it('that is limited to endpoints scores these and no other', async () => {
    const { call } = guardedApp(all);
    expect((await call('/score/churn', bearer(scorer))).status).toBe(200);
    expect((await call('/score/other', bearer(anyScorer))).status).toBe(200);
    const { status, body } = await call('/score/other', bearer(scorer));
    expect(status).toBe(403);
    expect(body.error.message).toBe(
      `key ${scorer.entry.id} of ${scorer.entry.principalName} may not score "other"; it is limited to churn, fraud`,
    );
  });

  it('has nothing from a scope that this version does not know', async () => {
    const newer = makeKey(['fly']);
    const { status, body } = await guardedApp(sourceOf(newer)).call('/read', bearer(newer));
    expect(status).toBe(403);
    expect(body.error.message).toContain('has none');
  });

  it('takes the scheme in any case, as the standard has it', async () => {
    const { call } = guardedApp(all);
    expect((await call('/read', { authorization: `bearer ${reader.text}` })).status).toBe(200);
  });
});

describe('a call without a good key', () => {
  const wrongSecret = makeKey(['read']);
  test.each([
    ['no key', {}, /an API key is needed/],
    ['an empty header', { authorization: '' }, /expected Bearer/],
    ['another scheme', { authorization: `Basic ${btoa('user:password')}` }, /expected Bearer/],
    ['a truncated key', { authorization: `Bearer ${reader.text.slice(0, -1)}` }, /expected Bearer/],
    ['a key with something behind it', { authorization: `Bearer ${reader.text} x` }, /expected Bearer/],
    [
      'a key with a character too many',
      { authorization: `Bearer ${reader.text}x` },
      /unknown or revoked|expected Bearer/,
    ],
    ['the id alone', { authorization: `Bearer ${reader.entry.id}` }, /expected Bearer/],
    [
      'the digest for the secret',
      { authorization: `Bearer assay_${reader.entry.id}_${reader.entry.secretSha256}` },
      /expected/,
    ],
    ['a token of 10,000 characters', { authorization: `Bearer ${'x'.repeat(10_000)}` }, /expected Bearer/],
    ['an unknown key', { authorization: `Bearer ${makeKey(['admin']).text}` }, /unknown or revoked/],
    [
      'a wrong secret',
      { authorization: `Bearer assay_${reader.entry.id}_${wrongSecret.text.slice(-43)}` },
      /unknown or revoked, or its secret is wrong/,
    ],
    ['a key in another header', { 'x-api-key': reader.text }, /an API key is needed/],
    ['a key in a cookie', { cookie: `authorization=Bearer ${reader.text}` }, /an API key is needed/],
  ])('%s is refused with 401 and a challenge', async (_what, headers, message) => {
    const answer = await guardedApp(all).call('/read', headers as Record<string, string>);
    expect(answer.status).toBe(401);
    expect(answer.headers['www-authenticate']).toBe('Bearer realm="assay"');
    expect(answer.body.error).toMatchObject({ code: 'UNAUTHENTICATED', message: expect.stringMatching(message) });
    expect(JSON.stringify(answer.body)).not.toContain(reader.text.slice(-43));
  });

  it('is answered on public routes, and on those with a credential of their own', async () => {
    const { call } = guardedApp(all);
    for (const path of ['/livez', '/readyz', '/openapi.json', '/public', '/own']) {
      expect([path, (await call(path)).status]).toEqual([path, 200]);
    }
    expect((await call('/metrics')).status).toBe(401);
  });

  it('is told of a path that does not exist', async () => {
    expect((await guardedApp(all).call('/rea')).status).toBe(404);
  });

  it('is counted by reason, and logged a few times a second with the id of the key and never its text', async () => {
    const { call, registry, lines } = guardedApp(all, 'debug');
    const guess = makeKey(['admin']);
    for (let i = 0; i < 50; i++) await call('/read', bearer(guess));
    await call('/promote', bearer(reader));
    const text = await registry.metrics();
    expect(text).toContain('assay_http_access_refusals_total{reason="unknown"} 50');
    expect(text).toContain('assay_http_access_refusals_total{reason="scope"} 1');
    const refusals = lines.filter((line) => line.includes('refused for its key'));
    expect(refusals.length).toBeGreaterThan(0);
    expect(refusals.length).toBeLessThan(40);
    expect(refusals[0]).toContain(guess.entry.id);
    expect(lines.join('')).not.toContain(guess.text.slice(-43));
    expect(lines.join('')).not.toContain(reader.text.slice(-43));
  });
});

describe('keys that cannot be checked', () => {
  it('are refused with 503, which is worth another try', async () => {
    const message = 'no API key can be checked yet';
    const source = {
      current: () => {
        throw new AssayError('UNAVAILABLE', message);
      },
      size: 0,
      ageMs: 0,
    };
    const { call } = guardedApp(source);
    expect((await call('/read', bearer(reader))).body.error).toMatchObject({ code: 'UNAVAILABLE', retryable: true });
    expect((await call('/public')).status).toBe(200);
  });
});

describe('without keys', () => {
  it('the caller is local and may do everything', async () => {
    const { call } = guardedApp(undefined);
    const { body } = await call('/promote');
    expect(body.caller).toMatchObject({ principal: 'local', keyId: null });
    for (const path of ['/read', '/either', '/score/x', '/metrics/../read']) {
      expect((await call(path)).status).toBe(200);
    }
    expect(SCOPES.length).toBeGreaterThan(5);
  });

  it('a key that is shown is refused: its owner believes to act under a name', async () => {
    const { status, body } = await guardedApp(undefined).call('/read', bearer(reader));
    expect(status).toBe(401);
    expect(body.error.message).toContain('there are no API keys here');
  });

  it('an app that was given no access at all has local callers too', async () => {
    const { app } = appUnderTest();
    app.get('/who', { schema: { hide: true } }, async (request) => ({ caller: request.caller?.principal }));
    expect((await app.inject('/who')).json()).toEqual({ caller: 'local' });
  });
});

describe('a route', () => {
  it('that does not say who may call it is refused when it is declared', () => {
    const { app } = guardedApp(all);
    expect(() => app.get('/forgotten', async () => ({}))).toThrow(/GET \/forgotten must say who may call it/);
  });

  it('is described with the scopes that are enough', async () => {
    const { app } = guardedApp(all);
    app.get('/described', { schema: { summary: 's' }, config: { access: ['score', 'read'] } }, async () => ({}));
    const { paths, components } = (await app.inject('/openapi.json')).json();
    expect(paths['/described'].get.security).toEqual([{ apiKey: ['score'] }, { apiKey: ['read'] }]);
    expect(paths['/livez'].get.security).toBeUndefined();
    expect(components.securitySchemes.apiKey).toMatchObject({ type: 'http', scheme: 'bearer' });
  });
});
