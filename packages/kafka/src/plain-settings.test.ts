import { expect, test } from 'vitest';
import { fromPlainKafkaSettings, toPlainKafkaSettings } from './plain-settings.ts';

const BROKERS = { brokers: ['kafka:9092'], clientId: 'test', tls: { caFile: 'ca.pem' }, requestTimeoutMs: 7 };

test('settings are the same behind a structured clone, password included', () => {
  const sasl = { mechanism: 'plain', username: 'u', password: () => 'planted' } as const;
  const plain = structuredClone(toPlainKafkaSettings({ ...BROKERS, sasl, onLog: () => undefined }));
  const { sasl: revived, ...others } = fromPlainKafkaSettings(plain);
  expect(others).toEqual(BROKERS);
  expect(revived).toMatchObject({ mechanism: 'plain', username: 'u' });
  expect(revived?.password()).toBe('planted');
  expect(JSON.stringify(revived)).not.toContain('planted');
});

test('without a user there is none', () => {
  expect(fromPlainKafkaSettings(structuredClone(toPlainKafkaSettings(BROKERS)))).toEqual(BROKERS);
});
