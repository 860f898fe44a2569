/** A composition as a package: versions chained and combined into one that is like any other. */
import { AssayError, type Composition } from '@assay/contracts';
import {
  type AssayManifest,
  type Golden,
  openPackage,
  type Profile,
  type TensorType,
  type WrittenPackage,
  writePackage,
} from '@assay/model-package';
import { chainOf, type OnnxModel } from '@assay/onnx';
import { createEncoder } from '../encoder.ts';
import { plainRecord, verifyGolden } from '../golden-records.ts';
import { readServable } from '../packed-graph.ts';
import { loadScorer } from '../scorer.ts';
import { RUNTIME_VERSION } from '../session.ts';
import { asFewAsCanBe, chainSteps, eachAlone } from './chain.ts';
import { featureInputs } from './graph-inputs.ts';
import { type Extent, mergeSteps, whyApart } from './merge.ts';
import { type Plan, planComposition } from './plan.ts';
import { composedRecords } from './records.ts';
import { layoutOfFeatures, runApart } from './run-apart.ts';

/** A version that a step names: its package on this machine, and what it is in the registry. */
export interface PartPackage {
  readonly step: string;
  readonly dir: string;
  readonly digest: string;
  readonly model: string;
  readonly version: number;
  readonly versionId: string;
}

export interface ComposeOptions {
  /** The folder to write; it may not be there yet. */
  readonly dir: string;
  readonly signal?: AbortSignal;
}

/**
 * Writes the package: one graph of all parts where that can be, else several in one file. Its golden outputs are what the
 * parts gave one after another, so that whoever loads it sees that it equals them. It runs the parts: those that are not
 * trusted are composed by `composeInChild`.
 * @throws AssayError INVALID_ARGUMENT where the parts do not fit together, `details` naming each place;
 *   FAILED_PRECONDITION where a part is too old or all are too large; UNPROCESSABLE_MODEL for a part that is damaged
 */
export async function composePackage(
  composition: Composition,
  parts: readonly PartPackage[],
  { dir, signal }: ComposeOptions,
): Promise<WrittenPackage> {
  const manifests = new Map<string, AssayManifest>();
  const models = new Map<string, OnnxModel>();
  for (const { step, dir: folder, digest } of parts) {
    const pkg = await openPackage(folder, { expectedDigest: digest, ...(signal === undefined ? {} : { signal }) });
    manifests.set(step, pkg.manifest);
    const { model } = readServable(await pkg.readOnnx());
    if (chainOf(model) !== undefined) {
      throw new AssayError('FAILED_PRECONDITION', `step ${step} is composed of several graphs; name its parts instead`);
    }
    models.set(step, model);
  }
  const plan = planComposition(composition, new Map([...manifests].map(([step, { signature }]) => [step, signature])));
  const golden = await goldenOf(plan, models, manifests);
  const { onnx, graphs, apart } = await graphsOf(plan, models, golden, signal);
  const inputs = [...featureInputs(plan, models)];
  return writePackage(dir, {
    onnx,
    signature: plan.signature,
    golden,
    lineage: {
      datasetSha256s: [...new Set([...manifests.values()].flatMap(({ lineage }) => lineage.datasetSha256s))],
      parents: [...new Set(parts.map(({ digest }) => digest))],
      libraries: { 'onnxruntime-node': RUNTIME_VERSION },
      metrics: {},
      origin: 'composed of registered versions',
    },
    composition: {
      parts: parts.map(({ step, digest, model, version, versionId }) => ({ step, model, version, versionId, digest })),
      steps: composition.steps,
      outputs: composition.outputs,
      graphs,
      ...(apart === undefined ? {} : { apart }),
    },
    inputTypes: Object.fromEntries(inputs.map(([name, { type }]) => [name, tensorType(type)])),
    ...profileOf(plan, manifests),
    ...(composition.description === undefined ? {} : { description: composition.description }),
  });
}

function tensorType(type: string): TensorType {
  return type === 'string' ? 'str' : (type as TensorType); // served element types go by NumPy's names but for strings
}

/** The records of the parts, and what the parts give for them one after another. */
async function goldenOf(
  plan: Plan,
  models: ReadonlyMap<string, OnnxModel>,
  manifests: ReadonlyMap<string, AssayManifest>,
): Promise<Golden> {
  const goldens = new Map([...manifests].map(([step, { golden }]) => [step, golden]));
  const encoder = createEncoder(layoutOfFeatures(plan, models));
  const { records, source } = composedRecords(plan, goldens, encoder);
  const outputs = await runApart(plan, models, records);
  const tolerances = [...goldens.values()].map(({ tolerance }) => tolerance);
  return {
    source,
    records: [...records],
    outputs: records.map((_, row) => plainRecord(outputs.record(row))),
    tolerance: {
      absolute: Math.max(...tolerances.map(({ absolute }) => absolute)),
      relative: Math.max(...tolerances.map(({ relative }) => relative)),
    },
  };
}

interface Graphs {
  readonly onnx: Uint8Array;
  /** The steps of each. */
  readonly graphs: string[][];
  /** Why they are not one. */
  readonly apart: string | undefined;
}

/** One graph if it can be, and gives what its parts give; else as few as can be, one after another. */
async function graphsOf(
  plan: Plan,
  models: ReadonlyMap<string, OnnxModel>,
  golden: Golden,
  signal: AbortSignal | undefined,
): Promise<Graphs> {
  const chained = async (extents: readonly Extent[], apart: string): Promise<Graphs> => {
    const onnx = chainSteps(plan, extents, models);
    await check(onnx, plan, golden, signal);
    return { onnx, graphs: namesOf(extents), apart };
  };
  const reason = whyApart(plan.steps, models);
  if (reason !== undefined) return chained(asFewAsCanBe(plan, models), reason);
  const onnx = mergeSteps(plan, plan, models);
  try {
    await check(onnx, plan, golden, signal);
  } catch (cause) {
    const { code, message } = AssayError.from(cause);
    if (code !== 'UNPROCESSABLE_MODEL') throw cause;
    return chained(eachAlone(plan), `one graph of them fails: ${message}`);
  }
  return { onnx, graphs: namesOf([plan]), apart: undefined };
}

/** Of those graphs that hold steps; one may only put the outputs together. */
function namesOf(extents: readonly Extent[]): string[][] {
  return extents.map(({ steps }) => steps.map(({ name }) => name)).filter((names) => names.length > 0);
}

/** @throws AssayError UNPROCESSABLE_MODEL where the file does not give what the parts gave one after another */
async function check(
  onnx: Uint8Array,
  { signature }: Plan,
  golden: Golden,
  signal: AbortSignal | undefined,
): Promise<void> {
  const source = { onnx, signature, digest: 'unregistered', records: golden.records };
  const scorer = await loadScorer(source, signal === undefined ? {} : { signal });
  try {
    await verifyGolden(scorer, { manifest: { golden, signature } });
  } finally {
    scorer.close();
  }
}

/** Of each feature the profile of the part that takes it first, as the reference for drift. */
function profileOf(plan: Plan, manifests: ReadonlyMap<string, AssayManifest>): { profile?: Profile } {
  const features: Profile['features'] = {};
  let rows = 0;
  for (const { name: step, signature, sources } of plan.steps) {
    const profile = manifests.get(step)?.profile;
    if (profile === undefined || signature === undefined) continue;
    for (const [i, feature] of signature.features.entries()) {
      const source = sources[i];
      const own = profile.features[feature.name];
      if (source?.kind !== 'feature' || own === undefined || Object.hasOwn(features, source.name)) continue;
      features[source.name] = own;
      rows = Math.max(rows, profile.rows);
    }
  }
  return rows === 0 ? {} : { profile: { rows, features } };
}
