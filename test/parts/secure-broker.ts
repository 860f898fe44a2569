/** A real broker that also listens with TLS, mutual TLS and SASL. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Broker, KAFKA_TOOL, startBroker } from './broker.ts';
import { type Certificates, makeCertificates } from './certificates.ts';
import { freePorts } from './ports.ts';

/** Names of listeners, as the broker has them. */
const LISTENERS = {
  tls: { name: 'SSL', protocol: 'SSL' },
  mutualTls: { name: 'MUTUAL', protocol: 'SSL' },
  sasl: { name: 'SASL_PLAINTEXT', protocol: 'SASL_PLAINTEXT' },
  saslTls: { name: 'SASL_SSL', protocol: 'SASL_SSL' },
} as const;

export interface SecureBroker extends AsyncDisposable {
  readonly broker: Broker;
  readonly addresses: Readonly<Record<keyof typeof LISTENERS, string>>;
  readonly certificates: Certificates;
  /** Known to PLAIN, and by the same password to both kinds of SCRAM. */
  readonly user: { readonly name: string; readonly password: string };
}

export async function startSecureBroker(): Promise<SecureBroker> {
  await using opened = new AsyncDisposableStack();
  const dir = await mkdtemp(join(tmpdir(), 'assay-secure-kafka-'));
  opened.defer(() => rm(dir, { recursive: true, force: true }));
  const certificates = await makeCertificates(dir);
  const user = { name: 'assay', password: 'planted-secret-5f2b' };
  const kinds = Object.keys(LISTENERS) as (keyof typeof LISTENERS)[]; // the keys of a constant object
  const firstPort = await freePorts(kinds.length);
  const ports = new Map(kinds.map((kind, i) => [kind, firstPort + i]));

  const modules = 'org.apache.kafka.common.security';
  const sasl = [LISTENERS.sasl, LISTENERS.saslTls].flatMap(({ name }) => {
    const listener = `listener.name.${name.toLowerCase()}`;
    return [
      `${listener}.plain.sasl.jaas.config=${modules}.plain.PlainLoginModule required user_${user.name}="${user.password}";`,
      ...['256', '512'].map(
        (bits) => `${listener}.scram-sha-${bits}.sasl.jaas.config=${modules}.scram.ScramLoginModule required;`,
      ),
    ];
  });
  const broker = opened.use(
    await startBroker({
      settings: (port) => [
        `listeners=${[
          `PLAINTEXT://127.0.0.1:${port}`,
          `CONTROLLER://127.0.0.1:${port + 1}`,
          ...kinds.map((kind) => `${LISTENERS[kind].name}://127.0.0.1:${ports.get(kind)}`),
        ].join()}`,
        `listener.security.protocol.map=${[
          'PLAINTEXT:PLAINTEXT',
          'CONTROLLER:PLAINTEXT',
          ...kinds.map((kind) => `${LISTENERS[kind].name}:${LISTENERS[kind].protocol}`),
        ].join()}`,
        'inter.broker.listener.name=PLAINTEXT',
        'ssl.keystore.type=PEM',
        `ssl.keystore.location=${certificates.serverFile}`,
        'ssl.truststore.type=PEM',
        `ssl.truststore.location=${certificates.caFile}`,
        'listener.name.mutual.ssl.client.auth=required',
        'sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
        ...sasl,
      ],
    }),
  );
  for (const bits of ['256', '512']) {
    // The broker takes one change of a user at a time.
    await promisify(execFile)(KAFKA_TOOL, [
      ...['tool', 'kafka.admin.ConfigCommand', '--bootstrap-server', broker.bootstrap],
      ...['--alter', '--add-config', `SCRAM-SHA-${bits}=[password=${user.password}]`],
      ...['--entity-type', 'users', '--entity-name', user.name],
    ]);
  }
  const addressOf = (kind: keyof typeof LISTENERS): string => `127.0.0.1:${ports.get(kind)}`;
  const resources = opened.move();
  return {
    broker,
    addresses: {
      tls: addressOf('tls'),
      mutualTls: addressOf('mutualTls'),
      sasl: addressOf('sasl'),
      saslTls: addressOf('saslTls'),
    },
    certificates,
    user,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}
