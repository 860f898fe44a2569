/** Writes a signed checkpoint, to the log and to the blob store, after so many entries or so long, and at the end. */
import type { KeyObject } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { BlobStore } from '@assay/blobs';
import { type ChainHead, signCheckpoint } from '@assay/contracts';
import type { Logger } from '@assay/runtime';
import { lastCheckpointed, putCheckpoint } from './checkpoint-blobs.ts';

export interface CheckpointerOptions {
  readonly readHead: () => Promise<ChainHead | undefined>;
  readonly blobs: BlobStore;
  readonly signing: KeyObject;
  readonly log: Logger;
  readonly everyMs: number;
  readonly everyEntries: number;
}

export interface Checkpointer {
  /** Writes the last checkpoint. */
  close(): Promise<void>;
}

/** How often the head is looked at. */
const LOOK_MS = 1000;

export function startCheckpointer(options: CheckpointerOptions): Checkpointer {
  const { readHead, blobs, signing, log, everyMs, everyEntries } = options;
  const stopping = new AbortController();
  const never = new AbortController().signal;
  let last: number | undefined;
  let writtenAt = Date.now();
  let isShort = false;

  async function look(isLast: boolean): Promise<void> {
    try {
      last ??= await lastCheckpointed(blobs, never);
      const head = await readHead();
      if (head === undefined || head.sequence < last) {
        const said = 'the audit chain ends before its last checkpoint: run assay audit verify';
        if (!isShort) log.error({ head, checkpoint: last }, said);
        isShort = true;
        return;
      }
      isShort = false;
      const entries = head.sequence - last;
      if (entries === 0 || (!isLast && entries < everyEntries && Date.now() - writtenAt < everyMs)) return;
      const checkpoint = signCheckpoint(head, Date.now(), signing);
      await putCheckpoint(blobs, checkpoint);
      log.info({ checkpoint }, 'audit checkpoint');
      [last, writtenAt] = [head.sequence, Date.now()];
    } catch (error) {
      log.warn({ err: error }, 'the audit checkpoint could not be written; it is tried again');
    }
  }

  async function follow(): Promise<void> {
    while (!stopping.signal.aborted) {
      await look(false);
      await delay(LOOK_MS, undefined, { signal: stopping.signal, ref: false }).catch(() => undefined);
    }
  }
  const following = follow();
  return {
    async close() {
      stopping.abort();
      await following;
      await look(true);
    },
  };
}
