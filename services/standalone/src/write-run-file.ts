/** `run.json`: there when everything is ready, gone after a stop. */
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type RunFile, runFilePath } from '@assay/client';
import { AssayError } from '@assay/contracts';

/** Whole or absent: a reader never sees half of it. */
export async function writeRunFile(dataDir: string, content: RunFile): Promise<void> {
  const path = runFilePath(dataDir);
  const temporary = `${path}.${process.pid}`;
  try {
    await mkdir(dirname(path), { recursive: true });
    const handle = await open(temporary, 'w');
    try {
      await handle.writeFile(`${JSON.stringify(content, null, 2)}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new AssayError('UNAVAILABLE', `${path} cannot be written: ${why}`, { cause });
  }
}

/** Only whoever holds the lock of the folder may call it; what is there is its own, or of a process that was killed. */
export async function removeRunFile(dataDir: string): Promise<void> {
  await rm(runFilePath(dataDir), { force: true });
}
