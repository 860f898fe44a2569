/** What Kafka, or the way to it, reports: as one clear line of an AssayError. */
import { AssayError, type ErrorCode } from '@assay/contracts';

interface Meaning {
  readonly code: ErrorCode;
  /** Continues "Kafka at BROKERS: ". */
  readonly message: string;
}

const DENIED: Meaning = { code: 'FAILED_PRECONDITION', message: 'the user may not do this; grant it the right (ACL)' };

/** By kafkajs' names of the protocol's errors, https://kafka.apache.org/protocol#protocol_error_codes */
const BY_TYPE: Readonly<Record<string, Meaning>> = {
  TOPIC_AUTHORIZATION_FAILED: DENIED,
  GROUP_AUTHORIZATION_FAILED: DENIED,
  CLUSTER_AUTHORIZATION_FAILED: DENIED,
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: DENIED,
  MESSAGE_TOO_LARGE: { code: 'PAYLOAD_TOO_LARGE', message: 'a record is over the max.message.bytes of its topic' },
  UNKNOWN_TOPIC_OR_PARTITION: { code: 'NOT_FOUND', message: 'there is no such topic or partition; create it' },
  INVALID_REPLICATION_FACTOR: {
    code: 'FAILED_PRECONDITION',
    message: 'it has fewer brokers than a new topic is to have replicas',
  },
};

/** Where a certificate is not trusted or not there: Node's codes, and OpenSSL's alerts. */
const TLS =
  /self[- ]signed|unable to (get|verify)|certificate|CERT_|ERR_TLS|ERR_SSL|EPROTO|wrong version number|ALERT/i;

/** `error` as an AssayError; what is none of Kafka's own and of the network's is UNAVAILABLE too, with its text. */
export function mapKafkaError(error: unknown, brokers: readonly string[]): AssayError {
  const cause = rootOf(error);
  if (cause instanceof AssayError) return cause;
  const { code, message } = meaningOf(cause);
  return new AssayError(code, `Kafka at ${brokers.join(', ')}: ${message}`, { cause: error });
}

/** The first error of a chain of "retried too often", "not connected" and the like. */
function rootOf(error: unknown): unknown {
  let root = error;
  for (let depth = 0; depth < 10; depth++) {
    if (!(root instanceof Error)) return root;
    const inner: unknown = 'cause' in root && root.cause !== undefined ? root.cause : undefined;
    if (!(inner instanceof Error)) return root;
    root = inner;
  }
  return root;
}

function meaningOf(error: unknown): Meaning {
  if (!(error instanceof Error)) return { code: 'UNAVAILABLE', message: String(error) };
  const type = 'type' in error && typeof error.type === 'string' ? error.type : '';
  const known = BY_TYPE[type];
  if (known !== undefined) return known;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''; // a number is the protocol's own
  const text = `${code} ${error.message}`;
  if (error.name === 'KafkaJSSASLAuthenticationError' || /SASL/.test(text)) {
    return {
      code: 'FAILED_PRECONDITION',
      message: 'refused the SASL user or password; check both, and the mechanism that this listener has',
    };
  }
  if (TLS.test(text)) {
    return { code: 'FAILED_PRECONDITION', message: `the TLS handshake failed (${firstLine(text)}); check the CA file` };
  }
  if (/ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ETIMEDOUT|Connection timeout/.test(text)) {
    return { code: 'UNAVAILABLE', message: `cannot be reached (${firstLine(text)}); check the addresses` };
  }
  return { code: 'UNAVAILABLE', message: firstLine(text) };
}

function firstLine(text: string): string {
  return (text.trim().split('\n')[0] ?? '').slice(0, 200);
}
