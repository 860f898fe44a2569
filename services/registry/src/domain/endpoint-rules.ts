/**
 * An endpoint is what an application calls. Its contract is the signature that callers rely on; each of its variants
 * (a version and a weight) must be able to answer every request that the contract allows. It names its variants, or it
 * follows an alias; then the alias's version is its one variant, and a move of the alias is a move of the endpoint.
 */
import {
  AssayError,
  type ErrorDetail,
  incompatibilities,
  type Shadow,
  type Signature,
  type Variant,
} from '@assay/contracts';

/** Weights are hundredths of a percent. */
export const TOTAL_WEIGHT = 10_000;

/** What the rules need to know of a version. */
export interface CandidateVersion {
  readonly id: string;
  readonly modelId: string;
  readonly modelName: string;
  readonly version: number;
  readonly signature: Signature;
  /** Why no endpoint can serve it; null when one can. */
  readonly notServable: string | null;
}

/**
 * Weights sum to 10,000 and no version is named twice.
 * @throws AssayError INVALID_ARGUMENT with each wrong place
 */
export function checkVariants(variants: readonly Variant[]): void {
  const details: ErrorDetail[] = [];
  const seen = new Set<string>();
  for (const [i, variant] of variants.entries()) {
    if (seen.has(variant.versionId)) {
      details.push({
        place: `variants[${i}].versionId`,
        message: `${variant.versionId} is named twice`,
        expected: 'each version once',
      });
    }
    seen.add(variant.versionId);
  }
  const total = variants.reduce((sum, variant) => sum + variant.weight, 0);
  if (total !== TOTAL_WEIGHT) {
    details.push({ place: 'variants', message: `the weights sum to ${total}`, expected: `a sum of ${TOTAL_WEIGHT}` });
  }
  const [first] = details;
  if (first) throw new AssayError('INVALID_ARGUMENT', `${first.place}: ${first.message}`, { details });
}

/**
 * No version twice, and none that is a variant.
 * @param serving ids of the variants
 * @throws AssayError INVALID_ARGUMENT with each wrong place
 */
export function checkShadows(shadows: readonly Shadow[], serving: ReadonlySet<string>): void {
  const details: ErrorDetail[] = [];
  const seen = new Set<string>();
  for (const [i, { versionId }] of shadows.entries()) {
    const wrong = serving.has(versionId) ? 'is a variant' : seen.has(versionId) ? 'is named twice' : undefined;
    seen.add(versionId);
    if (wrong === undefined) continue;
    const expected = 'versions that are no variants, each once';
    details.push({ place: `shadows[${i}].versionId`, message: `${versionId} ${wrong}`, expected });
  }
  const [first] = details;
  if (first) throw new AssayError('INVALID_ARGUMENT', `${first.place}: ${first.message}`, { details });
}

/** Why these versions cannot stand behind an endpoint with this contract; empty if they can. */
export function contractProblems(
  endpointName: string,
  contract: Signature,
  versions: readonly CandidateVersion[],
): ErrorDetail[] {
  return versions.flatMap((version) =>
    problemsOf(contract, version).map((problem) => ({
      place: `endpoint ${endpointName}`,
      message: `version ${version.version} of ${version.modelName}: ${problem}`,
      expected: "a version that takes and gives what the endpoint's contract says",
    })),
  );
}

function problemsOf(contract: Signature, version: CandidateVersion): string[] {
  if (version.notServable !== null) return [`it is not servable: ${version.notServable}`];
  return incompatibilities(contract, version.signature);
}

/**
 * A name of a feature or output that comes twice would leave the contract without a meaning.
 * @throws AssayError INVALID_ARGUMENT with each wrong place
 */
export function checkContract(contract: Signature): void {
  const details: ErrorDetail[] = [];
  for (const [list, items] of [
    ['features', contract.features],
    ['outputs', contract.outputs],
  ] as const) {
    const seen = new Set<string>();
    for (const [i, item] of items.entries()) {
      if (seen.has(item.name)) {
        details.push({
          place: `contract.${list}[${i}].name`,
          message: `"${item.name}" comes twice`,
          expected: 'each name once',
        });
      }
      seen.add(item.name);
    }
  }
  const [first] = details;
  if (first) throw new AssayError('INVALID_ARGUMENT', `${first.place}: ${first.message}`, { details });
}

/** @throws AssayError FAILED_PRECONDITION with `details`, if there are any */
export function refuseBrokenContract(what: string, details: readonly ErrorDetail[]): void {
  const [first] = details;
  if (!first) return;
  const more = details.length > 1 ? ` (and ${details.length - 1} more)` : '';
  throw new AssayError(
    'FAILED_PRECONDITION',
    `${what} would break the contract of ${first.place}: ${first.message}${more}. Choose a version that satisfies it, or give the endpoint another contract.`,
    { details },
  );
}

/**
 * The name of a model belongs to the model's default endpoint: it may serve versions of that model only.
 * @throws AssayError FAILED_PRECONDITION
 */
export function checkReservedName(
  endpointName: string,
  owner: { readonly id: string; readonly name: string } | undefined,
  versions: readonly CandidateVersion[],
): void {
  if (owner === undefined) return;
  const stranger = versions.find((version) => version.modelId !== owner.id);
  if (stranger !== undefined) {
    throw new AssayError(
      'FAILED_PRECONDITION',
      `the endpoint name "${endpointName}" is reserved for the model of that name, and version ${stranger.version} is of ${stranger.modelName}; choose another name`,
    );
  }
}
