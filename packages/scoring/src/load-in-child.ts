/**
 * Models that are not trusted are first loaded in a process of their own. A graph may crash the process that runs it, take
 * all memory, or never end; then it ends there, with a reason.
 */
import { resolve } from 'node:path';
import { AssayError, type Composition, type PackageFile, type Signature } from '@assay/contracts';
import { entryUrl } from '@assay/runtime';
import type { PartPackage } from './compose/compose-package.ts';
import type { GoldenReport } from './golden-records.ts';
import type { Batching, ExecutionClass } from './interfaces.ts';
import { type ChildLimits, runInChild } from './run-in-child.ts';

/** What was found out about a package that loads and reproduces its golden records. */
export interface LoadReport {
  readonly digest: string;
  readonly signature: Signature;
  readonly executionClass: ExecutionClass;
  readonly call: 'native' | 'public';
  readonly packed: boolean;
  readonly batching: Batching;
  readonly batchInvariant: boolean;
  readonly measured: { readonly oneRowUs: number; readonly fullBatchUs: number };
  readonly notes: readonly string[];
  readonly golden: GoldenReport;
}

/**
 * Opens a package, loads its graph and verifies its golden records, all in a child process.
 * @throws AssayError UNPROCESSABLE_MODEL with the reason, the signal of a crash included; CANCELLED when aborted
 */
export async function loadInChild(packageDir: string, limits: ChildLimits = {}): Promise<LoadReport> {
  return (await runInChild(entry(), ['check', resolve(packageDir)], { ...limits, refused })) as LoadReport; // what the entry writes for `check`
}

/**
 * `packageFromOnnx` in a child process: writes a package for the ONNX file at `onnxPath` into the new folder `dir`.
 * @throws AssayError as `loadInChild`
 */
export async function packageOnnxInChild(
  onnxPath: string,
  options: ChildLimits & {
    readonly dir: string;
    readonly description?: string;
    /** A JSON file of example inputs: see `readExamples`. What the graph does not take is left aside. */
    readonly examplesPath?: string;
  },
): Promise<{ readonly digest: string; readonly files: PackageFile[] }> {
  const { dir, description = '', examplesPath, ...limits } = options;
  const examples = examplesPath === undefined ? [] : [resolve(examplesPath)];
  const args = ['package', resolve(onnxPath), resolve(dir), description, ...examples];
  const written = await runInChild(entry(), args, { ...limits, refused });
  return written as { digest: string; files: PackageFile[] }; // what the entry writes for `package`
}

/**
 * `composePackage` in a child process.
 * @param requestPath a JSON file: see `ComposeRequest`
 * @throws AssayError as `composePackage` and `loadInChild`
 */
export async function composeInChild(
  requestPath: string,
  options: ChildLimits & { readonly dir: string },
): Promise<ComposedPackage> {
  const { dir, ...limits } = options;
  const written = await runInChild(entry(), ['compose', resolve(requestPath), resolve(dir)], { ...limits, refused });
  return written as ComposedPackage; // what the entry writes for `compose`
}

export interface ComposedPackage {
  readonly digest: string;
  /** The steps of each graph. */
  readonly graphs: readonly (readonly string[])[];
  /** Why they are not one. */
  readonly apart?: string;
}

/** What a child is told to compose. */
export interface ComposeRequest {
  readonly composition: Composition;
  readonly parts: readonly PartPackage[];
}

function entry(): URL {
  return entryUrl('packages/scoring', 'check-package');
}

function refused(why: string): AssayError {
  return new AssayError('UNPROCESSABLE_MODEL', `the model was refused: ${why}`);
}
