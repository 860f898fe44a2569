/** Signed checkpoints of the audit chain as files: a copy of their folder in the blob store, or the log of the registry. */
import { createReadStream } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { AssayError, AuditCheckpoint, type CheckpointKeys, checkpointKeysIn, matches } from '@assay/contracts';
import type { Io } from '../io.ts';
import { readUserFile, unreadable } from '../user-files.ts';

/** @throws AssayError INVALID_ARGUMENT where there is none, or a file of the folder is no checkpoint */
export async function readCheckpoints(io: Io, path: string): Promise<AuditCheckpoint[]> {
  const at = resolve(io.cwd, path);
  const isFolder = await stat(at).then(
    (found) => found.isDirectory(),
    (cause: unknown) => {
      throw unreadable(path, cause, 'file or folder');
    },
  );
  const found = await readable(path, () => (isFolder ? inFolder(at) : inLog(at, io.signal)));
  if (found.length === 0) throw new AssayError('INVALID_ARGUMENT', `${path} holds no checkpoint`);
  return found;
}

/** @throws AssayError INVALID_ARGUMENT */
export async function readCheckpointKeys(io: Io, file: string): Promise<CheckpointKeys> {
  const text = await readUserFile(io, file);
  return readable(file, async () => checkpointKeysIn(text));
}

async function inFolder(folder: string): Promise<AuditCheckpoint[]> {
  const names = await readdir(folder);
  // The blob store of the data folder ends its files so.
  const files = names.filter((name) => name.endsWith('.json') || name.endsWith('.json.blob')).sort();
  const found: AuditCheckpoint[] = [];
  for (const name of files) {
    const value = parsed(await readFile(join(folder, name), 'utf8'));
    if (!matches(AuditCheckpoint, value)) throw new Error(`${name} is no checkpoint`);
    found.push(value);
  }
  return found;
}

/** Lines of anything else are passed over: a log has many. */
async function inLog(file: string, signal: AbortSignal): Promise<AuditCheckpoint[]> {
  const found: AuditCheckpoint[] = [];
  for await (const line of createInterface({ input: createReadStream(file, { signal }) })) {
    if (!line.includes('"signature"')) continue;
    const value = parsed(line);
    const inside = typeof value === 'object' && value !== null && 'checkpoint' in value ? value.checkpoint : value;
    if (matches(AuditCheckpoint, inside)) found.push(inside);
  }
  return found;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function readable<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    throw unreadable(path, cause);
  }
}
