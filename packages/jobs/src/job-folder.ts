/**
 * A launch's folder, which is all that is remembered of it:
 *
 *     spec.json      what it was given (written first, whole or absent)
 *     process.json   the process that executes it
 *     log            its standard output and error
 *     exit.json      how it ended (written once, by its process, or by the launcher for one that left no word)
 *     work/          its own
 */
import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, linkSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { JobFailure, matches } from '@assay/contracts';
import type { LaunchExit } from './launcher.ts';

export interface ProcessFile {
  readonly pid: number;
  /** Tells this process from a later one of the same number; null where the system does not say. */
  readonly identity: string | null;
  readonly startedAtMs: number;
}

export const files = (dir: string) => ({
  spec: join(dir, 'spec.json'),
  process: join(dir, 'process.json'),
  log: join(dir, 'log'),
  exit: join(dir, 'exit.json'),
  work: join(dir, 'work'),
});

/** Writes a file whole: it is there with all of its text after a crash, or not at all. */
export function writeWhole(path: string, text: string): void {
  const temporary = writeBeside(path, text);
  renameSync(temporary, path);
  syncFolder(dirname(path));
}

/** As `writeWhole`, for a file that the first writer decides. */
function writeWholeOnce(path: string, text: string): void {
  const temporary = writeBeside(path, text);
  try {
    linkSync(temporary, path);
    syncFolder(dirname(path));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  } finally {
    rmSync(temporary, { force: true });
  }
}

function writeBeside(path: string, text: string): string {
  const temporary = `${path}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`;
  const file = openSync(temporary, 'wx', 0o600);
  try {
    const bytes = Buffer.from(text);
    for (let offset = 0; offset < bytes.length; ) offset += writeSync(file, bytes, offset);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  return temporary;
}

function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

export function writeExit(dir: string, exit: LaunchExit): void {
  writeWholeOnce(files(dir).exit, JSON.stringify(exit));
}

export function readExit(dir: string): LaunchExit | undefined {
  const value = readJson(files(dir).exit);
  if (typeof value?.endedAtMs !== 'number') return undefined;
  const { outcome, endedAtMs, failure } = value;
  if (outcome === 'succeeded' || outcome === 'cancelled') return { outcome, endedAtMs };
  return outcome === 'failed' && matches(JobFailure, failure) ? { outcome, endedAtMs, failure } : undefined;
}

export function readProcess(dir: string): ProcessFile | undefined {
  const value = readJson(files(dir).process);
  if (typeof value?.pid !== 'number' || typeof value.startedAtMs !== 'number') return undefined;
  const { pid, startedAtMs, identity } = value;
  return { pid, startedAtMs, identity: typeof identity === 'string' ? identity : null };
}

/** Undefined where there is no such file, or no JSON object in it. */
function readJson(path: string): Record<string, unknown> | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR'))
      return undefined;
    throw error;
  }
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return undefined;
    return value as Record<string, unknown>; // an object: each key may be anything, or missing
  } catch {
    return undefined;
  }
}
