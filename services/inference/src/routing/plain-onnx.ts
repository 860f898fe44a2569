/** Packages for ONNX files that came without one: made once for each content, kept for the next start. */
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AssayError } from '@assay/contracts';
import { PACKAGE_LIMITS } from '@assay/model-package';
import { packageFromOnnx, RUNTIME_VERSION } from '@assay/scoring';

/**
 * The folder of a package for the ONNX file at `path`. The graph is run in this process: it is the operator's own file, and
 * a child process would cost more than all the rest of a start.
 * @throws INVALID_ARGUMENT when the file cannot be read, UNPROCESSABLE_MODEL when it cannot be served
 */
export async function makePackage(path: string, workDir: string, options: { signal?: AbortSignal }): Promise<string> {
  const bytes = await readOnnx(path);
  const digest = createHash('sha256').update(RUNTIME_VERSION).update('\0').update(bytes).digest('hex');
  const dir = join(workDir, digest);
  try {
    await stat(dir); // whole or absent
    return dir;
  } catch {
    // Not made yet.
  }
  try {
    await packageFromOnnx(bytes, { dir, ...options });
  } catch (error) {
    // Another start made the same one meanwhile.
    if (!(error instanceof AssayError) || error.code !== 'ALREADY_EXISTS') throw error;
  }
  return dir;
}

async function readOnnx(path: string): Promise<Uint8Array> {
  try {
    const { size } = await stat(path);
    if (size > PACKAGE_LIMITS.fileBytes) throw new Error(`it has ${size} bytes, more than an ONNX file can have`);
    return await readFile(path);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new AssayError('INVALID_ARGUMENT', `${path} cannot be read: ${why}`, { cause });
  }
}
