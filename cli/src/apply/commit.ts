/** The git commit that the files come from: the audit entries of what is applied hold it. */
import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { promisify } from 'node:util';
import { AssayError } from '@assay/contracts';
import type { Io } from '../io.ts';

const COMMIT = /^[0-9a-f]{7,64}$/;
const GIT_TIMEOUT_MS = 10_000;
/** GitHub Actions, Azure Pipelines: what was checked out, where there is no git to ask. */
const OF_PLATFORMS = ['GITHUB_SHA', 'BUILD_SOURCEVERSION'] as const;

/**
 * HEAD, where `dir` is in a work tree of git and nothing of it differs from HEAD; undefined, told on standard error, where
 * something does. Without git, what the CI platform says.
 */
export async function commitOf(io: Io, dir: string): Promise<string | undefined> {
  const path = resolve(io.cwd, dir);
  const folder = (await stat(path)).isDirectory() ? path : dirname(path);
  const head = await git(folder, ['rev-parse', '--verify', 'HEAD'], io.signal);
  if (head !== undefined) {
    const changed = await git(folder, ['status', '--porcelain', '--untracked-files=all', '--', path], io.signal);
    if (changed === '') return head;
    io.err(`${dir} has changes that are not committed: the audit trail will name no commit.\n`);
    return undefined;
  }
  for (const name of OF_PLATFORMS) {
    const given = io.env[name];
    if (given !== undefined && COMMIT.test(given)) return given;
  }
  return undefined;
}

/** @throws AssayError INVALID_ARGUMENT */
export function checkCommit(text: string): string {
  if (COMMIT.test(text)) return text;
  throw new AssayError(
    'INVALID_ARGUMENT',
    `--commit: "${text}" is not the id of a git commit; expected 7 to 64 of 0-9a-f`,
  );
}

const run = promisify(execFile);

/** What git prints; undefined where it is not there, or this is no work tree with a commit. */
async function git(folder: string, args: readonly string[], signal: AbortSignal): Promise<string | undefined> {
  // A setting of the work tree can name a program that `status` starts: not this one.
  const safe = ['-C', folder, '--no-optional-locks', '-c', 'core.fsmonitor=false'];
  try {
    const { stdout } = await run('git', [...safe, ...args], { timeout: GIT_TIMEOUT_MS, signal });
    return stdout.trim();
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}
