/** Opens a package: nothing of it is believed before its digests are. */
import { join } from 'node:path';
import type { PackageFile } from '@assay/contracts';
import { type AssayManifest, readManifest } from './manifest.ts';
import {
  checkPath,
  digestPlain,
  listFiles,
  MANIFEST_FILE,
  MODEL_FILE,
  PACKAGE_LIMITS,
  readPlain,
  refusal,
  sha256Of,
} from './package-files.ts';

export interface ModelPackage {
  readonly dir: string;
  readonly manifest: AssayManifest;
  /** SHA-256 of assay.json, which holds the digests of all other files: it stands for the whole package. */
  readonly digest: string;
  /** Every file with its digest, assay.json included. */
  readonly files: readonly PackageFile[];
  readonly onnxPath: string;
  /** The bytes of model.onnx, checked against their digest once more. */
  readOnnx(): Promise<Uint8Array<ArrayBuffer>>;
}

export interface OpenPackageOptions {
  /** What the package must be, where the caller knows it (from a registry, a routing snapshot). */
  readonly expectedDigest?: string;
  /** Default 4 × 2 GiB. */
  readonly maxTotalBytes?: number;
  readonly signal?: AbortSignal;
}

/**
 * The package in `dir`, after every file was found to be plain, listed, of its size and of its digest.
 * @throws AssayError UNPROCESSABLE_MODEL naming the file and what is wrong with it
 */
export async function openPackage(dir: string, options: OpenPackageOptions = {}): Promise<ModelPackage> {
  const { expectedDigest, maxTotalBytes = PACKAGE_LIMITS.totalBytes, signal } = options;
  const manifestBytes = await readPlain(dir, MANIFEST_FILE, PACKAGE_LIMITS.manifestBytes);
  const digest = sha256Of(manifestBytes);
  if (expectedDigest !== undefined && expectedDigest !== digest) {
    throw refusal(
      `the package in ${dir} has digest ${digest}, expected ${expectedDigest}: it is another one, or was changed`,
    );
  }
  const manifest = readManifest(decodeUtf8(manifestBytes));
  const listed = Object.entries(manifest.files);
  if (manifest.files[MODEL_FILE] === undefined) throw refusal(`assay.json does not list ${MODEL_FILE}`);
  if (manifest.files[MANIFEST_FILE] !== undefined) throw refusal('assay.json may not list itself');
  for (const [path] of listed) checkPath(path);
  const totalBytes = listed.reduce((sum, [, file]) => sum + file.sizeBytes, manifestBytes.byteLength);
  if (totalBytes > maxTotalBytes)
    throw refusal(`the package has ${totalBytes} bytes, more than the ${maxTotalBytes} allowed`);
  for (const path of await listFiles(dir)) {
    if (path !== MANIFEST_FILE && !Object.hasOwn(manifest.files, path)) {
      throw refusal(`${path} is not listed in assay.json; every file of a package is`);
    }
  }
  for (const [path, expected] of listed) {
    signal?.throwIfAborted();
    const found = await digestPlain(dir, path, PACKAGE_LIMITS.fileBytes);
    if (found.sizeBytes !== expected.sizeBytes) {
      throw refusal(`${path} has ${found.sizeBytes} bytes, assay.json says ${expected.sizeBytes}`);
    }
    if (found.sha256 !== expected.sha256) {
      throw refusal(
        `${path} has sha256 ${found.sha256}, assay.json says ${expected.sha256}: it was changed or damaged`,
      );
    }
  }
  const model = manifest.files[MODEL_FILE];
  return {
    dir,
    manifest,
    digest,
    files: [
      ...listed.map(([path, { sha256, sizeBytes }]) => ({ path, sha256, sizeBytes })),
      { path: MANIFEST_FILE, sha256: digest, sizeBytes: manifestBytes.byteLength },
    ],
    onnxPath: join(dir, MODEL_FILE),
    readOnnx: async () => {
      const bytes = await readPlain(dir, MODEL_FILE, PACKAGE_LIMITS.fileBytes);
      if (sha256Of(bytes) !== model.sha256)
        throw refusal(`${MODEL_FILE} in ${dir} changed after the package was opened`);
      return bytes;
    },
  };
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw refusal(`${MANIFEST_FILE} is not UTF-8`, cause);
  }
}
