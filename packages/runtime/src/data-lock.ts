/**
 * One process a data folder. The lock is SQLite's on an empty file of its own: a record lock of the kernel, which goes
 * away with the process however that ends, so that there is no stale lock to judge, no process id that may since belong
 * to another, and no moment between looking and taking. A note beside it says who holds it, for the message only.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { AssayError } from '@assay/contracts';

export interface DataLock {
  readonly dir: string;
  /** Lets the next process in; a second call does nothing. */
  release(): void;
}

interface Connection {
  exec(sql: string): void;
  close(): void;
}

interface Holder {
  readonly pid: number;
  readonly host: string;
  readonly since: string;
}

/** A connection that nobody refers to is collected, and its lock with it. */
const held = new Set<Connection>();

/**
 * Takes the folder for this process until `release` or its end; the folder is made if it is missing.
 * @param options.setting what names the folder, for the messages
 * @throws AssayError UNAVAILABLE naming the process that has it, or FAILED_PRECONDITION when it cannot be used at all
 */
export async function lockDataDir(dir: string, options: { readonly setting?: string } = {}): Promise<DataLock> {
  const setting = options.setting ?? 'ASSAY_DATA_DIR';
  const { DatabaseSync } = await import('node:sqlite'); // not at import: a process without a data folder needs none of it
  let connection: Connection | undefined;
  try {
    mkdirSync(dir, { recursive: true });
    connection = new DatabaseSync(join(dir, 'lock'), { timeout: 0 });
    connection.exec('BEGIN EXCLUSIVE');
    writeHolder(dir);
  } catch (error) {
    connection?.close();
    if (sqliteCode(error) === SQLITE_BUSY) throw await takenError(dir, setting);
    throw unusableError(dir, setting, error);
  }
  const locked = connection;
  held.add(locked);
  return {
    dir,
    release() {
      if (!held.delete(locked)) return;
      rmSync(holderPath(dir), { force: true });
      locked.close();
    },
  };
}

/** https://www.sqlite.org/rescode.html#busy */
const SQLITE_BUSY = 5;

function sqliteCode(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('errcode' in error)) return undefined;
  return typeof error.errcode === 'number' ? error.errcode & 0xff : undefined; // the rest are extended codes
}

function holderPath(dir: string): string {
  return join(dir, 'lock.json');
}

function writeHolder(dir: string): void {
  const holder: Holder = { pid: process.pid, host: hostname(), since: new Date().toISOString() };
  const temporary = `${holderPath(dir)}.${process.pid}`;
  writeFileSync(temporary, JSON.stringify(holder));
  renameSync(temporary, holderPath(dir));
}

function readHolder(dir: string): Holder | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(holderPath(dir), 'utf8'));
    if (typeof value === 'object' && value !== null && 'pid' in value && typeof value.pid === 'number') {
      const { host, since } = value as Partial<Holder>; // defaults below where they are missing
      return { pid: value.pid, host: String(host ?? ''), since: String(since ?? '') };
    }
  } catch {
    // the note is for the message only; without one the message is shorter
  }
  return undefined;
}

/** The note of a holder that died stays until the next one has written its own, which takes a moment. */
async function takenError(dir: string, setting: string): Promise<AssayError> {
  let holder = readHolder(dir);
  for (let tries = 0; tries < 20 && !mayBeHolder(holder); tries++) {
    await delay(10);
    holder = readHolder(dir);
  }
  const who = mayBeHolder(holder)
    ? `process ${holder.pid}${holder.host === hostname() ? '' : ` on ${holder.host}`}, since ${holder.since}`
    : 'another process';
  return new AssayError(
    'UNAVAILABLE',
    `the data folder ${dir} is in use by ${who}; stop it, or set ${setting} to another folder`,
  );
}

function mayBeHolder(holder: Holder | undefined): holder is Holder {
  if (holder === undefined) return false;
  if (holder.host !== hostname()) return true; // another container on the same volume: its process cannot be asked
  try {
    process.kill(holder.pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

function unusableError(dir: string, setting: string, error: unknown): AssayError {
  const reason = error instanceof Error ? error.message : String(error);
  return new AssayError(
    'FAILED_PRECONDITION',
    `the data folder ${dir} cannot be used: ${reason}; set ${setting} to a folder that this user may write`,
    { cause: error },
  );
}
