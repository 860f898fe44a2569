/** What is different between two versions of a dataset: of its table, of its values, and of what is said of it. */
import type {
  DatasetChanges,
  DatasetColumn,
  DatasetColumnProfile,
  DatasetColumnShift,
  DatasetVersion,
} from '@assay/contracts';

const SAID = ['layer', 'source', 'owner', 'licence', 'knownBias', 'description'] as const;

export function datasetChanges(from: DatasetVersion, to: DatasetVersion): DatasetChanges {
  const before = byName(from.schema);
  const after = byName(to.schema);
  const inBoth = to.schema.flatMap((column) => {
    const earlier = before.get(column.name);
    return earlier === undefined ? [] : [{ name: column.name, from: earlier, to: column }];
  });
  const [profilesBefore, profilesAfter] = [byName(from.profile ?? []), byName(to.profile ?? [])];
  const shifts: DatasetColumnShift[] = [];
  const withoutProfile: string[] = [];
  for (const { name } of inBoth) {
    const [earlier, later] = [profilesBefore.get(name), profilesAfter.get(name)];
    if (earlier === undefined || later === undefined) withoutProfile.push(name);
    else shifts.push(shiftOf(earlier, later));
  }
  return {
    dataset: to.datasetName,
    from: { id: from.id, version: from.version },
    to: { id: to.id, version: to.version },
    sameTable: from.digest === to.digest,
    told: to.changes,
    rows: { from: from.rows, to: to.rows },
    columns: {
      added: to.schema.filter(({ name }) => !before.has(name)),
      removed: from.schema.filter(({ name }) => !after.has(name)),
      retyped: inBoth
        .filter((column) => column.from.type !== column.to.type)
        .map((column) => ({ name: column.name, from: column.from.type, to: column.to.type })),
      nullability: inBoth
        .filter((column) => column.from.nullable !== column.to.nullable)
        .map((column) => ({ name: column.name, from: column.from.nullable, to: column.to.nullable })),
      reordered: isReordered(from.schema, inBoth),
    },
    personalData: {
      added: to.personalData.filter((name) => !from.personalData.includes(name)),
      removed: from.personalData.filter((name) => !to.personalData.includes(name)),
    },
    about: SAID.filter((what) => from[what] !== to[what]).map((what) => ({ what, from: from[what], to: to[what] })),
    shifts: shifts.filter((shift) => Object.keys(shift).length > 1).sort((a, b) => sizeOf(b) - sizeOf(a)),
    withoutProfile,
  };
}

function byName<T extends { readonly name: string }>(list: readonly T[]): Map<string, T> {
  return new Map(list.map((item) => [item.name, item]));
}

/** A column that was added or removed moves the others along; that is no other order. */
function isReordered(from: readonly DatasetColumn[], inBoth: readonly { readonly name: string }[]): boolean {
  const shared = new Set(inBoth.map(({ name }) => name));
  return from.filter(({ name }) => shared.has(name)).some(({ name }, i) => inBoth[i]?.name !== name);
}

function shiftOf(from: DatasetColumnProfile, to: DatasetColumnProfile): DatasetColumnShift {
  const numeric =
    from.numeric === undefined || to.numeric === undefined ? undefined : { from: from.numeric, to: to.numeric };
  const deviations =
    numeric === undefined || numeric.from.std === 0
      ? undefined
      : (numeric.to.mean - numeric.from.mean) / numeric.from.std;
  return {
    name: to.name,
    ...fromTo('missingRate', missingRate(from), missingRate(to)),
    ...fromTo('distinct', from.distinct, to.distinct),
    ...(numeric === undefined || numeric.from.mean === numeric.to.mean
      ? {}
      : {
          mean: {
            ...{ from: numeric.from.mean, to: numeric.to.mean },
            ...(deviations === undefined || !Number.isFinite(deviations) ? {} : { standardDeviations: deviations }),
          },
        }),
    ...(numeric === undefined ? {} : fromTo('min', numeric.from.min, numeric.to.min)),
    ...(numeric === undefined ? {} : fromTo('max', numeric.from.max, numeric.to.max)),
  };
}

function fromTo<Key extends string>(key: Key, from: number, to: number): { [K in Key]?: { from: number; to: number } } {
  const changed: { [K in Key]?: { from: number; to: number } } = {};
  if (from !== to) changed[key] = { from, to };
  return changed;
}

function missingRate({ count, missing }: DatasetColumnProfile): number {
  return count === 0 ? 0 : missing / count;
}

/** A mean that moved by a standard deviation weighs as much as all values that went missing. */
function sizeOf({ missingRate: rate, mean }: DatasetColumnShift): number {
  return Math.max(rate === undefined ? 0 : Math.abs(rate.to - rate.from), Math.abs(mean?.standardDeviations ?? 0));
}
