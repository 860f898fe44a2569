/**
 * From a routed version to one that scores: fetched, its digests checked, loaded, and tested on its golden records (which
 * loading does).
 */
import { AssayError, type RoutedVersion } from '@assay/contracts';
import { type ModelPackage, openPackage } from '@assay/model-package';
import type { Logger } from '@assay/runtime';
import {
  createBatcher,
  createExplainer,
  createScorer,
  type Explainer,
  type Scorer,
  type ScorerFindings,
  type ScorerOptions,
} from '@assay/scoring';
import type { InferenceConfig } from '../config.ts';
import type { LoadedVersion, LoadVersion, PackageSource, ServingObserver } from '../domain/version.ts';
import type { ProviderChoice } from './choose-provider.ts';

type Place = NonNullable<ScorerOptions['place']>;

/** The two settings as one: a process is a place of its own. */
export function placeOf({ placement, isolation }: Pick<InferenceConfig, 'placement' | 'isolation'>): Place {
  return isolation === 'process' ? 'process' : placement;
}

export interface VersionLoaderOptions {
  readonly packages: PackageSource;
  readonly maxBatchRows: number;
  /** As ScorerOptions has it. */
  readonly longRunRows?: number;
  readonly threads: number;
  readonly provider: ProviderChoice;
  readonly place: Place;
  readonly observer: Pick<ServingObserver, 'versionCrashed'>;
  readonly maxQueueRows: number;
  /** Where packed graphs are kept. */
  readonly graphCacheDir: string;
  readonly log: Logger;
}

export function createVersionLoader(options: VersionLoaderOptions): LoadVersion {
  return async (version, signal, before) => {
    const pkg = await openVersion(options.packages, version, signal);
    const scorer = await createScorer(pkg, {
      maxBatchRows: options.maxBatchRows,
      ...(options.longRunRows === undefined ? {} : { longRunRows: options.longRunRows }),
      threads: options.threads,
      provider: options.provider.provider,
      fallback: options.provider.fallback,
      place: options.place,
      onEnded: (why) => options.observer.versionCrashed(version, why),
      cacheDir: options.graphCacheDir,
      found: before?.findings,
      signal,
    });
    if (before !== undefined) return serve(scorer, pkg, before.outputTails, options);
    for (const note of scorer.notes) options.log.info({ versionId: version.id, note }, 'about the version');
    return serve(scorer, pkg, await outputTailsOf(scorer, pkg), options);
  };
}

/** A package that turns out to be damaged on this disk is had anew once; one that is wrong at its source is refused. */
async function openVersion(
  packages: PackageSource,
  version: RoutedVersion,
  signal: AbortSignal,
): Promise<ModelPackage> {
  const open = async () =>
    openPackage(await packages.fetch(version, signal), { expectedDigest: version.digest, signal });
  try {
    return await open();
  } catch (error) {
    if (packages.discard === undefined || !(error instanceof AssayError) || error.code !== 'UNPROCESSABLE_MODEL')
      throw error;
    await packages.discard(version.digest);
    return open();
  }
}

/** What the graph gives for one golden record shows how it shapes its outputs; what it says of itself is often open. */
async function outputTailsOf(scorer: Scorer, pkg: ModelPackage): Promise<Map<string, readonly number[]>> {
  const batch = scorer.newBatch(1);
  batch.appendRecords(pkg.manifest.golden.records.slice(0, 1));
  const { outputs } = await scorer.run(batch);
  return new Map(outputs.map(({ name, shape }) => [name, shape.slice(1)]));
}

type Tails = LoadedVersion['outputTails'];

function serve(
  scorer: Scorer,
  pkg: ModelPackage,
  outputTails: Tails,
  { maxQueueRows, log }: VersionLoaderOptions,
): LoadedVersion {
  const explainer = explainerWhenAsked(pkg);
  const batcher = createBatcher(scorer, { maxQueueRows });
  return {
    signature: scorer.signature,
    outputTails,
    repeatable: scorer.repeatable,
    details: {
      executionClass: scorer.executionClass.id,
      place: scorer.place,
      batching: scorer.batching,
      batchInvariant: scorer.batchInvariant,
      repeatable: scorer.repeatable,
      packed: scorer.packed,
      measured: scorer.measured,
    },
    measured: { oneRowMs: scorer.measured.oneRowUs / 1000, fullBatchMs: scorer.measured.fullBatchUs / 1000 },
    maxBatchRows: scorer.maxBatchRows,
    findings: findingsOf(scorer),
    score: (append, runOptions) => batcher.submit(append, runOptions),
    explain: async (records, runOptions) => (await explainer.open()).explain(records, runOptions),
    get queuedRows() {
      return batcher.queuedRows;
    },
    async close() {
      try {
        await batcher.close();
        scorer.close();
        await explainer.close();
      } catch (error) {
        log.error({ err: error, digest: scorer.digest }, 'a version could not be unloaded; its memory is not freed');
      }
    },
  };
}

/** Without the scorer itself, which would keep its session. */
function findingsOf({
  digest,
  maxBatchRows,
  call,
  place,
  batching,
  batchInvariant,
  repeatable,
  packed,
  notes,
  measured,
}: Scorer): ScorerFindings {
  return { digest, maxBatchRows, call, place, batching, batchInvariant, repeatable, packed, notes, measured };
}

/** Most versions are never asked why: the second session that explaining needs is opened at the first question. */
function explainerWhenAsked(pkg: ModelPackage): { open(): Promise<Explainer>; close(): Promise<void> } {
  let opened: Promise<Explainer> | undefined;
  return {
    open() {
      opened ??= createExplainer(pkg).catch((error: unknown) => {
        opened = undefined;
        throw error;
      });
      return opened;
    },
    async close() {
      (await opened?.catch(() => undefined))?.close();
    },
  };
}
