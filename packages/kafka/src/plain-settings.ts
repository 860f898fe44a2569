/** `KafkaSettings` on their way to another thread: plain data, in which the password is no function and no secret. */
import { Secret } from '@assay/runtime';
import type { KafkaSettings } from './settings.ts';

export type PlainKafkaSettings = Omit<KafkaSettings, 'sasl' | 'onLog'> & {
  readonly sasl?: Omit<NonNullable<KafkaSettings['sasl']>, 'password'> & { readonly password: string };
};

export function toPlainKafkaSettings({ onLog: _, sasl, ...plain }: KafkaSettings): PlainKafkaSettings {
  return { ...plain, ...(sasl === undefined ? {} : { sasl: { ...sasl, password: sasl.password() } }) };
}

export function fromPlainKafkaSettings({ sasl, ...plain }: PlainKafkaSettings): KafkaSettings {
  if (sasl === undefined) return plain;
  const password = new Secret(sasl.password);
  return { ...plain, sasl: { ...sasl, password: () => password.reveal() } };
}
