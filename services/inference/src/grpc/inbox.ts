/**
 * What has come of a call and is not read yet: for the most part the beginning of a message, counted with what all calls
 * hold.
 */
import { decompress, type Encoding } from './compression.ts';
import { type FramedMessage, MessageReader } from './framing.ts';

export interface InboxOptions {
  readonly encoding: Encoding;
  /** The largest message, as it is sent and as it is decompressed. */
  readonly maxMessageBytes: number;
  /** Makes room for bytes that wait, or gives it back; it may throw. */
  readonly hold: (bytes: number) => void;
}

export class Inbox {
  readonly #options: InboxOptions;
  readonly #reader: MessageReader;
  #countedBytes = 0;
  #seenAtMs: number | undefined;

  constructor(options: InboxOptions) {
    this.#options = options;
    this.#reader = new MessageReader(options.maxMessageBytes);
  }

  get heldBytes(): number {
    return this.#reader.heldBytes;
  }

  push(chunk: Buffer): void {
    this.#reader.push(chunk);
  }

  /**
   * The next message; undefined until it is whole.
   * @throws INVALID_ARGUMENT for what is no message; PAYLOAD_TOO_LARGE as soon as its length is known
   */
  next(): FramedMessage | undefined {
    const message = this.#reader.next();
    if (message !== undefined) this.#seenAtMs = undefined;
    return message;
  }

  /** Its bytes, as they are or as `decompress` gives them. */
  read({ bytes, isCompressed }: FramedMessage): Buffer | Promise<Buffer> {
    const { encoding, maxMessageBytes } = this.#options;
    return isCompressed ? decompress(bytes, encoding, maxMessageBytes) : bytes;
  }

  /** Counts what is held now. @throws what `hold` throws */
  count(): void {
    const held = this.heldBytes;
    if (held === this.#countedBytes) return;
    this.#options.hold(held - this.#countedBytes);
    this.#countedBytes = held;
  }

  /** Nobody will read it. */
  drop(): void {
    this.#options.hold(-this.#countedBytes);
    this.#countedBytes = 0;
  }

  /**
   * When a message was first seen that is not whole yet; undefined where nothing is on its way.
   * @param isRead whether what comes is read at once; time in which it is not is ours, and not counted
   */
  arrivingSinceMs(nowMs: number, isRead: boolean): number | undefined {
    this.#seenAtMs = isRead && this.heldBytes > 0 ? (this.#seenAtMs ?? nowMs) : undefined;
    return this.#seenAtMs;
  }
}
