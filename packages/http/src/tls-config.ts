/** The settings of TLS on the doors of a service, the same for each of them; spread into its own. */
import { setting } from '@assay/runtime';
import Type from 'typebox';

export const tlsSettings = {
  tlsCertFile: setting(Type.String({ minLength: 1 }), {
    optional: true,
    description:
      'PEM file of the certificate of this service, those of intermediate authorities behind it; with `tlsKeyFile`. The service then speaks TLS (1.2 or later) and nothing else. The files are read again when they change.',
  }),
  tlsKeyFile: setting(Type.String({ minLength: 1 }), {
    optional: true,
    description: 'PEM file of the key of `tlsCertFile`, without a passphrase.',
  }),
  tlsClientCaFile: setting(Type.String({ minLength: 1 }), {
    optional: true,
    description:
      'PEM file of the authorities whose certificates callers must show (mutual TLS), besides the API key that they need; with `tlsCertFile`. It holds for every path, health and metrics too.',
  }),
};

/** What `tlsSettings` are in a loaded config. */
export interface TlsConfig {
  readonly tlsCertFile: string | undefined;
  readonly tlsKeyFile: string | undefined;
  readonly tlsClientCaFile: string | undefined;
}
