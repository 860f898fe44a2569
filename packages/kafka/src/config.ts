/** The settings of Kafka, the same for every service of an installation: `ASSAY_KAFKA_BROKERS`, … */
import { AssayError } from '@assay/contracts';
import { type ConfigOf, defineConfig, environmentName, setting } from '@assay/runtime';
import Type from 'typebox';
import type { KafkaSettings } from './settings.ts';

export const kafkaConfig = defineConfig('kafka', {
  brokers: setting(Type.Array(Type.String({ pattern: '^[^:/\\s]+:[0-9]{1,5}$|^\\[[0-9a-fA-F:]+\\]:[0-9]{1,5}$' })), {
    default: [],
    description:
      'Some brokers of the cluster, `host:port` separated by commas; the others are found through them. Without it nothing of Assay uses Kafka.',
  }),
  tls: setting(Type.Boolean(), {
    default: false,
    description: 'Encrypt the connections and verify the brokers. Implied by `tlsCaFile` and `tlsCertFile`.',
  }),
  tlsCaFile: setting(Type.String({ minLength: 1 }), {
    optional: true,
    description:
      "PEM file of the authority that signed the brokers' certificates. Without it the system's are trusted.",
  }),
  tlsCertFile: setting(Type.String({ minLength: 1 }), {
    optional: true,
    description: 'PEM file of the own certificate, where brokers ask for one (mutual TLS); with `tlsKeyFile`.',
  }),
  tlsKeyFile: setting(Type.String({ minLength: 1 }), {
    optional: true,
    description: 'PEM file of the key of `tlsCertFile`.',
  }),
  saslMechanism: setting(Type.Enum(['plain', 'scram-sha-256', 'scram-sha-512']), {
    optional: true,
    description: 'How to log in, where brokers ask for it. `plain` sends the password as it is: only with TLS.',
  }),
  saslUsername: setting(Type.String({ minLength: 1 }), {
    optional: true,
    description: 'The user to log in as.',
  }),
  saslPassword: setting(Type.String({ minLength: 1 }), {
    secret: true,
    optional: true,
    description: 'The password of that user.',
  }),
  connectTimeoutMs: setting(Type.Integer({ minimum: 100 }), {
    default: 5000,
    unit: 'ms',
    description: 'How long to wait for a connection to one broker.',
  }),
  requestTimeoutMs: setting(Type.Integer({ minimum: 1000 }), {
    default: 30_000,
    unit: 'ms',
    description: 'How long to wait for the answer to one request.',
  }),
  sessionTimeoutMs: setting(Type.Integer({ minimum: 6000, maximum: 300_000 }), {
    default: 10_000,
    unit: 'ms',
    description:
      'How long a consumer that was killed or is frozen holds up the others of its group at most. Brokers take 6000 at least.',
  }),
  topicPartitions: setting(Type.Integer({ minimum: 1, maximum: 10_000 }), {
    default: 6,
    description: 'Partitions of the topics that Assay makes for its own events. Topics that exist stay as they are.',
  }),
  topicReplicas: setting(Type.Integer({ minimum: 1, maximum: 32 }), {
    optional: true,
    description: "Replicas of the topics that Assay makes. Without it the cluster's own default.",
  }),
});
export type KafkaConfig = ConfigOf<typeof kafkaConfig>;

/**
 * How to reach the cluster that the settings name.
 * @param clientId names this process in the brokers' logs and quotas: `assay-registry`
 * @throws AssayError FAILED_PRECONDITION where settings are missing or contradict each other
 */
export function kafkaSettings(config: KafkaConfig, clientId: string): KafkaSettings {
  const variable = (key: keyof typeof kafkaConfig.settings): string => environmentName(kafkaConfig, key);
  const refuse = (message: string): never => {
    throw new AssayError('FAILED_PRECONDITION', `Kafka settings: ${message}`);
  };
  if (config.brokers.length === 0) refuse(`no brokers; set ${variable('brokers')}`);
  const { tlsCaFile, tlsCertFile, tlsKeyFile, saslMechanism, saslUsername, saslPassword } = config;
  if ((tlsCertFile === undefined) !== (tlsKeyFile === undefined)) {
    refuse(`${variable('tlsCertFile')} and ${variable('tlsKeyFile')} belong together; set both or none`);
  }
  const isEncrypted = config.tls || tlsCaFile !== undefined || tlsCertFile !== undefined;
  return {
    brokers: config.brokers,
    clientId,
    connectTimeoutMs: config.connectTimeoutMs,
    requestTimeoutMs: config.requestTimeoutMs,
    ...(isEncrypted
      ? {
          tls: {
            ...(tlsCaFile === undefined ? {} : { caFile: tlsCaFile }),
            ...(tlsCertFile === undefined ? {} : { certFile: tlsCertFile }),
            ...(tlsKeyFile === undefined ? {} : { keyFile: tlsKeyFile }),
          },
        }
      : {}),
    ...saslOf(),
  };

  function saslOf(): Pick<KafkaSettings, 'sasl'> {
    if (saslMechanism === undefined) {
      if (saslUsername !== undefined || saslPassword !== undefined) {
        refuse(`a user without ${variable('saslMechanism')}; set it to plain, scram-sha-256 or scram-sha-512`);
      }
      return {};
    }
    if (saslUsername === undefined || saslPassword === undefined) {
      throw new AssayError(
        'FAILED_PRECONDITION',
        `Kafka settings: ${variable('saslMechanism')} needs ${variable('saslUsername')} and ${variable('saslPassword')}`,
      );
    }
    return { sasl: { mechanism: saslMechanism, username: saslUsername, password: () => saslPassword.reveal() } };
  }
}
