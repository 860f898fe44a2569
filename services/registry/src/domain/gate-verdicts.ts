/** What a version is before each gate of its model: what is required, what is there, and what to do about what is missing. */
import type { Check, GateResult, Gates, ShadowCounts } from '@assay/contracts';
import type { VersionChecks } from './version-checks.ts';

/** What is known of a version that gates ask about. */
export interface Measured {
  readonly id: string;
  readonly version: number;
  readonly metrics: Readonly<Record<string, number>>;
  /** Digests of the datasets that its metrics were measured on. */
  readonly datasets: readonly string[];
}

export interface GatedVersion extends Measured {
  readonly modelName: string;
  /** Who registered it, and who submitted the job that made it: their own approvals do not count. */
  readonly authors: readonly string[];
  readonly approvers: readonly string[];
  /** Beside the champion, at endpoints that the gates guard; undefined where it never was its shadow. */
  readonly shadow: ShadowCounts | undefined;
  readonly notServable: string | null;
  /** undefined where an older Assay registered it. */
  readonly checks: VersionChecks | undefined;
}

/** Every gate, in the order of the fields. `champion`: of the model; undefined where it never had one. */
export function judge(gates: Gates, version: GatedVersion, champion: Measured | undefined): GateResult[] {
  return [
    ...(gates.approvals === undefined ? [] : [approvals(gates.approvals, version)]),
    ...(gates.metrics ?? []).map((bound) => withinBounds(bound, version)),
    ...(gates.betterThanChampion ?? []).map((comparison) => better(comparison, version, champion)),
    ...(gates.checks ?? []).map((check) => checked(check, version)),
    ...(gates.shadow === undefined ? [] : compared(gates.shadow, version, champion)),
  ];
}

/** At an endpoint that gates guard, of a version of another model: an administrator decides. */
export function fromAnotherModel(guarding: string, other: string): GateResult {
  return {
    gate: 'model',
    passed: false,
    required: `a version of ${guarding}, whose gates guard the endpoint`,
    found: `a version of ${other}, whose gates do not`,
    action: `set gates on ${other} that guard it, or let an administrator force it`,
  };
}

function approvals(count: number, { approvers, authors, modelName, version }: GatedVersion): GateResult {
  const others = [...new Set(approvers)].filter((principal) => !authors.includes(principal)).sort();
  const passed = others.length >= count;
  return {
    gate: 'approvals',
    passed,
    required: `${count}, by principals other than ${authors.join(' and ')}, who made it`,
    found: others.length === 0 ? 'none' : `${others.length}: ${others.join(', ')}`,
    ...(passed ? {} : { action: `${count - others.length} more: assay approve ${modelName} ${version}` }),
  };
}

function withinBounds(
  { metric, min, max }: NonNullable<Gates['metrics']>[number],
  { metrics }: GatedVersion,
): GateResult {
  const value = metricOf(metrics, metric);
  const passed = value !== undefined && value >= (min ?? -Infinity) && value <= (max ?? Infinity);
  const bounds = [min === undefined ? [] : `${min} at least`, max === undefined ? [] : `${max} at most`].flat();
  return {
    gate: `metrics.${metric}`,
    passed,
    required: bounds.join(' and '),
    found: value === undefined ? `no ${metric}` : String(value),
    ...(passed ? {} : { action: `register a version with such a ${metric}` }),
  };
}

function better(
  { metric, better: direction, by }: NonNullable<Gates['betterThanChampion']>[number],
  version: GatedVersion,
  champion: Measured | undefined,
): GateResult {
  const { met, missed } = verdictsOn(
    `betterThanChampion.${metric}`,
    `${direction} than the champion's${by === undefined ? '' : `, by ${by} at least`}, on the same datasets`,
  );
  if (champion === undefined) return met('there is no champion yet');
  if (champion.id === version.id) return met('it is the champion');
  const own = metricOf(version.metrics, metric);
  const theirs = metricOf(champion.metrics, metric);
  if (own === undefined) return missed(`no ${metric}`, `register a version that says its ${metric}`);
  if (theirs === undefined) {
    return missed(`the champion, version ${champion.version}, has no ${metric}`, 'compare another metric in the gates');
  }
  const found = `${own}; the champion, version ${champion.version}, has ${theirs}`;
  if (!sameDatasets(version.datasets, champion.datasets)) {
    return missed(`${found}, on other datasets`, `train and measure it on those of version ${champion.version}`);
  }
  const lead = direction === 'higher' ? own - theirs : theirs - own;
  return lead > 0 && lead >= (by ?? 0) ? met(found) : missed(found, `register a version with a better ${metric}`);
}

/** None known is not the same as the same. */
function sameDatasets(a: readonly string[], b: readonly string[]): boolean {
  const [left, right] = [new Set(a), new Set(b)];
  return left.size > 0 && left.size === right.size && [...left].every((digest) => right.has(digest));
}

/** Own keys only: a metric may have any name. */
function metricOf(metrics: Readonly<Record<string, number>>, metric: string): number | undefined {
  return Object.hasOwn(metrics, metric) ? metrics[metric] : undefined;
}

function checked(check: Check, version: GatedVersion): GateResult {
  return check === 'golden' ? golden(version) : parity(version);
}

const SERVABLE = 'register a version that can be served';
const REGISTER_AGAIN = 'register its package again: an older Assay did not keep this';

function golden({ notServable, checks }: GatedVersion): GateResult {
  const { met, missed } = verdictsOn('checks.golden', 'golden records from data, reproduced when it was registered');
  if (notServable !== null) return missed(`it is not servable: ${notServable}`, SERVABLE);
  if (checks === undefined) return missed('not known', REGISTER_AGAIN);
  const { source, records } = checks.golden;
  const found = `${records} records, source ${source}`;
  if (source === 'synthetic') {
    return missed(found, 'register it with an input example, or with records of its training');
  }
  return met(found);
}

function parity({ notServable, checks }: GatedVersion): GateResult {
  const { met, missed } = verdictsOn('checks.parity', 'the graph gives what its trainer gives, within its tolerance');
  if (notServable !== null) return missed(`it is not servable: ${notServable}`, SERVABLE);
  if (checks === undefined) return missed('not known', REGISTER_AGAIN);
  if (checks.parity === undefined) {
    return missed('the package does not say', 'train it by `assay train`, or write `lineage.parity` into assay.json');
  }
  const { rows, maxDifference, tolerance } = checks.parity;
  const found = `${maxDifference} at most on ${rows} rows, tolerance ${tolerance}`;
  return maxDifference <= tolerance ? met(found) : missed(found, 'export the model anew');
}

function compared(
  { rows: enough, maxFailedRatio = 0, maxDisagreeingRatio = 1 }: NonNullable<Gates['shadow']>,
  { id, modelName, version, shadow }: GatedVersion,
  champion: Measured | undefined,
): GateResult[] {
  const finished = verdictsOn('shadow.rows', `${enough} rows compared with the champion's answers`);
  if (champion === undefined) return [finished.met('there is no champion yet')];
  if (champion.id === id) return [finished.met('it is the champion')];
  const beside = `version ${version} of ${modelName} a shadow of a guarded endpoint that serves version ${champion.version}`;
  if (shadow === undefined) return [finished.missed('none', `make ${beside} (docs/shadows.md)`)];
  const { rows, failedRows, outputs } = shadow;
  const disagreeing = Math.max(0, ...outputs.map(({ disagreeingRows }) => disagreeingRows));
  return [
    rows >= enough ? finished.met(String(rows)) : finished.missed(String(rows), `leave ${beside}`),
    ...atMost('shadow.failed', 'that it could not score', maxFailedRatio, failedRows, rows + failedRows),
    ...atMost('shadow.disagreeing', 'that decide otherwise', maxDisagreeingRatio, disagreeing, rows),
  ];
}

function atMost(gate: string, what: string, limit: number, part: number, whole: number): GateResult[] {
  if (limit === 1) return [];
  const { met, missed } = verdictsOn(gate, `rows ${what}: ${limit} of all at most`);
  const found = `${part} of ${whole}`;
  return [
    part <= limit * whole ? met(found) : missed(found, 'look at what it answered, and register a better version'),
  ];
}

function verdictsOn(gate: string, required: string) {
  return {
    met: (found: string): GateResult => ({ gate, passed: true, required, found }),
    missed: (found: string, action: string): GateResult => ({ gate, passed: false, required, found, action }),
  };
}
