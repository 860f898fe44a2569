/** Compositions of models that tests make, as packages in a folder. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Composition, CompositionStep, Signature } from '@assay/contracts';
import { type AssayManifest, openPackage } from '@assay/model-package';
import { attribute, GraphBuilder } from '@assay/onnx';
import { composePackage, type PartPackage } from '../compose/compose-package.ts';
import type { Scorer } from '../interfaces.ts';
import { packageFromOnnx } from '../package-from-onnx.ts';
import { createScorer } from '../scorer.ts';
import { feature, output } from './models.ts';

export type Records = readonly Readonly<Record<string, unknown>>[];

/** A version loaded, as callers see it. */
export interface LoadedVersion {
  readonly signature: Signature;
  readonly manifest: AssayManifest;
  readonly scorer: Scorer;
  score(records: Records): Promise<Record<string, unknown>[]>;
}

export async function composing(): Promise<Composing> {
  return new Composing(await mkdtemp(join(tmpdir(), 'assay-compose-')));
}

class Composing {
  readonly #dir: string;
  #made = 0;
  readonly #loaded: Scorer[] = [];

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** A package of its own for the model, as the version that step `step` names. */
  async part(
    step: string,
    { onnx, signature, examples }: { onnx: Uint8Array; signature: Signature; examples?: Record<string, unknown>[] },
  ): Promise<PartPackage> {
    const dir = this.#folder();
    const { digest } = await packageFromOnnx(onnx, { dir, signature, ...(examples === undefined ? {} : { examples }) });
    return { step, dir, digest, model: step, version: 1, versionId: `ver_${step}` };
  }

  async compose(
    steps: Record<string, CompositionStep>,
    outputs: Record<string, string>,
    parts: readonly PartPackage[],
  ): Promise<LoadedVersion> {
    return this.load((await this.composed(steps, outputs, parts)).dir);
  }

  async composed(
    steps: Record<string, CompositionStep>,
    outputs: Record<string, string>,
    parts: readonly PartPackage[],
  ): Promise<PartPackage> {
    const composition: Composition = { model: 'whole', steps, outputs };
    const dir = this.#folder();
    const { digest } = await composePackage(composition, parts, { dir });
    return { step: 'whole', dir, digest, model: 'whole', version: 1, versionId: 'ver_whole' };
  }

  async load(dir: string): Promise<LoadedVersion> {
    const pkg = await openPackage(dir);
    const scorer = await createScorer(pkg);
    this.#loaded.push(scorer);
    return {
      signature: pkg.manifest.signature,
      manifest: pkg.manifest,
      scorer,
      async score(records) {
        const batch = scorer.newBatch(records.length);
        batch.appendRecords(records);
        const outputs = await scorer.run(batch);
        return records.map((_, row) => outputs.record(row));
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const scorer of this.#loaded) scorer.close();
    await rm(this.#dir, { recursive: true, force: true });
  }

  #folder(): string {
    return join(this.#dir, `package-${this.#made++}`);
  }
}

export type { Composing };

/** A composition whose parts cannot be one graph: Softmax of the first came to mean another thing. */
export function apartModels() {
  const old = new GraphBuilder({ opsets: { '': 11 }, irVersion: 6 });
  const inputs = ['a', 'b'].map((name) => old.input(name, 'float32', ['N', 1]));
  const both = old.node('Concat', inputs, { attributes: { axis: attribute.int(1) } });
  old.node('Softmax', [both], { outputs: ['shares'] });
  old.output('shares', 'float32', ['N', 2]);
  const young = new GraphBuilder();
  young.input('shares', 'float32', ['N', 2]);
  young.node('Tanh', ['shares'], { outputs: ['tanh'] });
  young.output('tanh', 'float32', ['N', 2]);
  const steps: Record<string, CompositionStep> = {
    old: version('old'),
    young: version('young', { shares: 'old' }),
    blend: { mean: ['old', 'young'] },
  };
  return {
    old: {
      onnx: old.build(),
      signature: {
        features: [feature('a', 'float32'), feature('b', 'float32')],
        outputs: [output('shares', 'float32', [2])],
      },
    },
    young: {
      onnx: young.build(),
      signature: {
        features: [feature('shares', 'float32', { shape: [2] })],
        outputs: [output('tanh', 'float32', [2])],
      },
    },
    steps,
    outputs: { first: 'old.shares[0]', blend: 'blend' },
  };
}

export function version(model: string, inputs?: Record<string, string | { feature: string }>): CompositionStep {
  return { version: `${model}@1`, ...(inputs === undefined ? {} : { inputs }) };
}
