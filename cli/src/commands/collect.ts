/** `assay collect`: what the registry does not need any more. */
import { createRegistryClient } from '@assay/client';
import type { Collection } from '@assay/contracts';
import type { Io } from '../io.ts';
import { instant, json, table } from '../output.ts';
import { peerOf, type TargetOptions } from '../targets.ts';

/** More lines are for `--json`. */
const LINES = 20;

export async function collect(io: Io, options: TargetOptions & { readonly delete?: boolean }): Promise<void> {
  await using registry = createRegistryClient(await peerOf('registry', io, options));
  const report = await registry.collect({ delete: options.delete === true }, io);
  if (options.json) return io.out(json(report));
  io.out(rowsText(report) + blobsText(report));
  io.err(summary(report));
}

function rowsText({ rows, rowCount }: Collection): string {
  if (rowCount === 0) return '';
  const lines = rows.slice(0, LINES).map(({ kind, name, deletedAt, id }) => [kind, name, instant(deletedAt), id]);
  return table(['WHAT', 'NAME', 'DELETED', 'ID'], lines) + more(rowCount);
}

function blobsText({ blobs, blobItems }: Collection): string {
  if (blobs.count === 0) return '';
  const lines = blobItems
    .slice(0, LINES)
    .map(({ key, sizeBytes, modifiedAt }) => [String(sizeBytes), instant(modifiedAt), key]);
  return table(['BYTES', 'PUT', 'BLOB'], lines) + more(blobs.count);
}

const more = (count: number): string => (count > LINES ? `and ${count - LINES} more\n` : '');

function summary({ deleted, rowCount, blobs, kept }: Collection): string {
  const what = `${rowCount} deleted resources and ${blobs.count} blobs (${blobs.sizeBytes} bytes)`;
  const stays = `kept: ${kept.named.count} blobs that are named (${kept.named.sizeBytes} bytes), ${kept.young.count} that may be soon (${kept.young.sizeBytes} bytes)`;
  if (deleted) return `Removed ${what}; ${stays}\n`;
  const next = rowCount + blobs.count === 0 ? '' : '\nNothing was removed; assay collect --delete removes them\n';
  return `Not needed any more: ${what}; ${stays}${next === '' ? '\n' : next}`;
}
