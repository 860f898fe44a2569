/** The far end of a session that runs apart: opens it, runs what it is sent, one after another, and ends when told. */
import { AssayError } from '@assay/contracts';
import { type Feeds, inputTensor, openSession, type Results, reasonOf, type Session } from '../session.ts';
import { buffersOf, type FromHost, type PlainTensor, type PlainTensors, type ToHost } from './messages.ts';

export interface HostPort {
  say(message: FromHost, transfer: ArrayBuffer[]): void;
  /** Nothing more comes from here: the thread or process may end. */
  end(): void;
}

/** @returns what takes the messages that arrive, in their order */
export function hostSession(port: HostPort): (message: ToHost) => void {
  let session: Session | undefined;
  let working: Promise<void> = Promise.resolve();

  async function take(message: ToHost): Promise<void> {
    if (message.type === 'open') {
      try {
        session = await openSession(message.model, message.options);
        port.say({ type: 'opened', inputs: session.inputs, outputs: session.outputs }, []);
      } catch (thrown) {
        const { code, message: reason } = AssayError.from(thrown);
        port.say({ type: 'refused', code, message: reason }, []);
      }
    } else if (message.type === 'run') {
      try {
        if (session === undefined) throw new Error('no graph was opened');
        const results = plainOf(await session.run(tensorsOf(message.feeds), message.outputNames));
        port.say({ type: 'ran', number: message.number, results }, buffersOf(results));
      } catch (thrown) {
        port.say({ type: 'failed', number: message.number, reason: reasonOf(thrown) }, []);
      }
    } else {
      session?.close();
      session = undefined;
      port.end();
    }
  }

  return (message) => {
    working = working.then(() => take(message));
  };
}

export function tensorsOf(tensors: PlainTensors): Feeds {
  const feeds: Feeds = {};
  for (const [name, { type, data, dims }] of Object.entries(tensors)) feeds[name] = inputTensor(type, data, dims);
  return feeds;
}

/** With memory of its own, of the tensor's length: a view would take all that it looks at along. */
export function plainOf(tensors: Results): PlainTensors {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { type, data, dims }]) => [
      name,
      { type, dims, data: data.slice() } as PlainTensor, // sessions give and take the types of ElementType only
    ]),
  );
}
