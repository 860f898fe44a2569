/**
 * The graphs that may be run: the package's own, and one derived from it whose inputs are packed by type and whose trees
 * compare instead of looking categories up, kept on disk.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AssayError } from '@assay/contracts';
import {
  chainOf,
  inspect,
  type OnnxModel,
  ORDERING_VERSION,
  orderCategories,
  PACKING_VERSION,
  type PackedColumn,
  packInputs,
  readModel,
  tensorizeOutputs,
  writeModel,
} from '@assay/onnx';

export interface PackedGraph {
  readonly onnx: Uint8Array;
  /** Where the values of inputs go that are packed; of others nothing is said. */
  readonly columns: readonly PackedColumn[];
}

/**
 * The model in these bytes, outputs made tensors where they can be.
 * @throws AssayError UNPROCESSABLE_MODEL with each reason why it cannot be served
 */
export function readServable(onnx: Uint8Array): {
  model: OnnxModel;
  onnx: Uint8Array;
  rewrites: ReturnType<typeof tensorizeOutputs>['rewrites'];
} {
  let original: OnnxModel;
  try {
    original = readModel(onnx);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AssayError('UNPROCESSABLE_MODEL', `model.onnx cannot be read: ${reason}`, { cause });
  }
  const { model, rewrites } = tensorizeOutputs(original);
  const { problems } = inspect(model);
  if (problems.length > 0) {
    throw new AssayError('UNPROCESSABLE_MODEL', `the model cannot be served: ${problems.join('; ')}`, {
      details: problems.map((message) => ({ place: 'model.onnx', message })),
    });
  }
  return { model, onnx: rewrites.length === 0 ? onnx : writeModel(model), rewrites };
}

/** The derived graph, or undefined where there is nothing to derive. */
export function packGraph(model: OnnxModel): PackedGraph | undefined {
  if (chainOf(model) !== undefined) return undefined;
  const ordered = orderCategories(model);
  const { model: packed, columns } = packInputs(ordered ?? model);
  return columns.length === 0 && ordered === undefined ? undefined : { onnx: writeModel(packed), columns };
}

/** What is kept beside a packed graph in the cache. */
interface CacheEntry {
  readonly sha256: string;
  readonly columns: readonly PackedColumn[];
}

/**
 * The packed graph of the version with this digest, from the cache if it is there and whole. A cache that cannot be read
 * or written only costs the time to pack again.
 */
export async function cachedPackedGraph(
  model: OnnxModel,
  digest: string,
  cacheDir: string | undefined,
): Promise<PackedGraph | undefined> {
  if (cacheDir === undefined) return packGraph(model);
  const stem = join(cacheDir, `${digest}-packing${PACKING_VERSION}.${ORDERING_VERSION}`);
  const cached = await readCache(stem);
  if (cached !== undefined) return cached;
  const packed = packGraph(model);
  if (packed !== undefined) await writeCache(cacheDir, stem, packed);
  return packed;
}

async function readCache(stem: string): Promise<PackedGraph | undefined> {
  try {
    const entry = JSON.parse(await readFile(`${stem}.json`, 'utf8')) as CacheEntry; // believed only if the digest fits
    const onnx = await readFile(`${stem}.onnx`);
    return sha256(onnx) === entry.sha256 ? { onnx, columns: entry.columns } : undefined;
  } catch {
    return undefined; // absent or damaged: it is made anew
  }
}

async function writeCache(cacheDir: string, stem: string, { onnx, columns }: PackedGraph): Promise<void> {
  const entry: CacheEntry = { sha256: sha256(onnx), columns };
  const temporary = `${stem}.${randomUUID()}`;
  try {
    await mkdir(cacheDir, { recursive: true });
    await writeFile(`${temporary}.onnx`, onnx);
    await writeFile(`${temporary}.json`, JSON.stringify(entry));
    await rename(`${temporary}.onnx`, `${stem}.onnx`);
    await rename(`${temporary}.json`, `${stem}.json`);
  } catch {
    // a full or read-only disk: the next load packs again
    await rm(`${temporary}.onnx`, { force: true }).catch(() => {});
    await rm(`${temporary}.json`, { force: true }).catch(() => {});
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
