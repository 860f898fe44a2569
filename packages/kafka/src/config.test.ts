import { inspect } from 'node:util';
import { loadConfig } from '@assay/runtime';
import { describe, expect, it } from 'vitest';
import { kafkaConfig, kafkaSettings } from './index.ts';

const load = (env: Record<string, string>) =>
  loadConfig(kafkaConfig, {
    env: Object.fromEntries(Object.entries(env).map(([name, value]) => [`ASSAY_KAFKA_${name}`, value])),
  });
const settings = (env: Record<string, string>) => kafkaSettings(load(env), 'assay-test');

describe('the settings of Kafka', () => {
  it('name brokers, and nothing else is needed', () => {
    const { brokers, tls, sasl, clientId } = settings({ BROKERS: 'a.example:9092, b.example:9093' });
    expect({ brokers, tls, sasl, clientId }).toEqual({
      brokers: ['a.example:9092', 'b.example:9093'],
      tls: undefined,
      sasl: undefined,
      clientId: 'assay-test',
    });
  });

  it('turn TLS on by themselves where there is a CA file', () => {
    expect(settings({ BROKERS: 'a:1', TLS: 'true' }).tls).toEqual({});
    expect(settings({ BROKERS: 'a:1', TLS_CA_FILE: '/ca.pem' }).tls).toEqual({ caFile: '/ca.pem' });
    const own = { TLS_CERT_FILE: '/cert.pem', TLS_KEY_FILE: '/key.pem' };
    expect(settings({ BROKERS: 'a:1', ...own }).tls).toEqual({ certFile: '/cert.pem', keyFile: '/key.pem' });
  });

  it('hold the password so that it does not show', () => {
    const login = { SASL_MECHANISM: 'scram-sha-512', SASL_USERNAME: 'assay', SASL_PASSWORD: 'hunter2' };
    const config = load({ BROKERS: 'a:1', ...login });
    const given = kafkaSettings(config, 'assay-test');
    expect(given.sasl?.password()).toBe('hunter2');
    for (const shown of [inspect(config), JSON.stringify(config), inspect(given), JSON.stringify(given)]) {
      expect(shown).not.toContain('hunter2');
    }
  });

  it.each([
    [{}, /no brokers; set ASSAY_KAFKA_BROKERS/],
    [{ BROKERS: 'a:1', TLS_CERT_FILE: '/x' }, /ASSAY_KAFKA_TLS_CERT_FILE and ASSAY_KAFKA_TLS_KEY_FILE belong together/],
    [{ BROKERS: 'a:1', SASL_USERNAME: 'x' }, /a user without ASSAY_KAFKA_SASL_MECHANISM/],
    [{ BROKERS: 'a:1', SASL_MECHANISM: 'plain' }, /needs ASSAY_KAFKA_SASL_USERNAME and ASSAY_KAFKA_SASL_PASSWORD/],
    [{ BROKERS: 'a' }, /kafka.brokers/],
    [{ BROKERS: 'kafka://a:1' }, /kafka.brokers/],
    [{ BROKERS: 'a:1', SASL_MECHANISM: 'scram' }, /kafka.saslMechanism/],
  ])('are refused: %j', (env: Record<string, string>, words) => {
    expect(() => settings(env)).toThrow(words);
  });
});
