/** Writes a package: whole, or not at all. */
import { mkdir, mkdtemp, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { AssayError, type PackageFile, type Signature } from '@assay/contracts';
import { ASSAY_VERSION } from '@assay/runtime';
import {
  type AssayManifest,
  type Calibration,
  type Composed,
  FORMAT_VERSION,
  type Golden,
  type Lineage,
  type Profile,
  writeManifest,
} from './manifest.ts';
import { type TensorType, writeMlModel } from './mlmodel.ts';
import { checkPath, MANIFEST_FILE, MLMODEL_FILE, MODEL_FILE, sha256Of } from './package-files.ts';

export interface PackageContent {
  /** The bytes of model.onnx: one input per feature, by its name. */
  readonly onnx: Uint8Array;
  readonly signature: Signature;
  readonly golden: Golden;
  readonly lineage: Lineage;
  readonly profile?: Profile;
  readonly calibration?: Calibration;
  readonly composition?: Composed;
  readonly description?: string;
  /** Default: this Assay. */
  readonly producer?: { name: string; version: string };
  /** RFC 3339, UTC; default: now. Give it to make the same bytes twice. */
  readonly createdAt?: string;
  /** Element types of graph inputs that are not `graphTensorType` of their feature. */
  readonly inputTypes?: Readonly<Record<string, TensorType>>;
  /** Further files, by path. */
  readonly extraFiles?: Readonly<Record<string, Uint8Array>>;
}

export interface WrittenPackage {
  /** SHA-256 of assay.json, which holds the digests of all other files. */
  readonly digest: string;
  readonly files: PackageFile[];
  readonly manifest: AssayManifest;
}

/**
 * Writes `model.onnx`, `MLmodel` and `assay.json` into the new folder `dir`: first into a temporary folder beside it, each
 * file synced, then renamed, so that `dir` is whole or absent whatever happens.
 * @throws AssayError ALREADY_EXISTS if `dir` is there and not empty; INVALID_ARGUMENT if the content is not valid
 */
export async function writePackage(dir: string, content: PackageContent): Promise<WrittenPackage> {
  const createdAt = content.createdAt ?? new Date().toISOString();
  const { signature, inputTypes } = content;
  const mlModel = writeMlModel({ signature, createdAt, ...(inputTypes === undefined ? {} : { inputTypes }) });
  const files = new Map<string, Uint8Array>([
    [MODEL_FILE, content.onnx],
    [MLMODEL_FILE, Buffer.from(mlModel)],
  ]);
  for (const [path, bytes] of Object.entries(content.extraFiles ?? {})) {
    checkPath(path);
    if (files.has(path) || path === MANIFEST_FILE) {
      throw new AssayError('INVALID_ARGUMENT', `extraFiles may not replace ${path}`);
    }
    files.set(path, bytes);
  }
  const manifest: AssayManifest = {
    formatVersion: FORMAT_VERSION,
    producer: content.producer ?? { name: 'assay', version: ASSAY_VERSION },
    createdAt,
    ...(content.description === undefined ? {} : { description: content.description }),
    signature,
    ...(content.profile === undefined ? {} : { profile: content.profile }),
    golden: content.golden,
    lineage: content.lineage,
    ...(content.calibration === undefined ? {} : { calibration: content.calibration }),
    ...(content.composition === undefined ? {} : { composition: content.composition }),
    files: Object.fromEntries(
      [...files].map(([path, bytes]) => [path, { sha256: sha256Of(bytes), sizeBytes: bytes.byteLength }]),
    ),
  };
  const manifestBytes = Buffer.from(writeManifest(manifest));
  files.set(MANIFEST_FILE, manifestBytes);
  await writeFolder(dir, files);
  return {
    digest: sha256Of(manifestBytes),
    files: [...files].map(([path, bytes]) => ({ path, sha256: sha256Of(bytes), sizeBytes: bytes.byteLength })),
    manifest,
  };
}

async function writeFolder(dir: string, files: ReadonlyMap<string, Uint8Array>): Promise<void> {
  const parent = dirname(dir);
  await mkdir(parent, { recursive: true });
  const temporary = await mkdtemp(join(parent, `.${basename(dir)}-`));
  try {
    for (const [path, bytes] of files) {
      const target = join(temporary, path);
      await mkdir(dirname(target), { recursive: true });
      await using file = await open(target, 'wx', 0o644);
      await file.writeFile(bytes);
      await file.sync();
    }
    await syncFolder(temporary);
    try {
      await rename(temporary, dir);
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException; // only the file system throws here
      if (code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'ENOTDIR') {
        throw new AssayError('ALREADY_EXISTS', `${dir} is there already; a package is written into a new folder`, {
          cause,
        });
      }
      throw cause;
    }
    await syncFolder(parent);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** Makes the names in a folder durable; without it a power cut may lose the rename. */
async function syncFolder(dir: string): Promise<void> {
  await using folder = await open(dir, 'r');
  await folder.sync();
}
