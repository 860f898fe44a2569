import type { Gates, ShadowCounts } from '@assay/contracts';
import { describe, expect, it } from 'vitest';
import { type GatedVersion, judge, type Measured } from './gate-verdicts.ts';

const champion: Measured = { id: 'ver_1', version: 1, metrics: { auc: 0.75, log_loss: 0.5 }, datasets: ['a', 'b'] };
const version: GatedVersion = {
  ...{ id: 'ver_2', version: 2, metrics: { auc: 0.8, log_loss: 0.4 }, datasets: ['b', 'a'], modelName: 'delay' },
  ...{ authors: ['training', 'ada'], approvers: [], notServable: null, shadow: undefined },
  checks: { golden: { source: 'training', records: 64 }, parity: { rows: 9, maxDifference: 1e-8, tolerance: 1e-6 } },
};
const passed = (gates: Gates, of: Partial<GatedVersion> = {}, against: Measured | undefined = champion) =>
  judge(gates, { ...version, ...of }, against).map((result) => result.passed);

describe('approvals', () => {
  it.each([
    [[], false],
    [['bob'], false],
    [['bob', 'bob'], false],
    [['bob', 'ada'], false],
    [['bob', 'training'], false],
    [['bob', 'cleo'], true],
  ])('of %j, for a version of ada that needs two, are enough: %s', (approvers, enough) => {
    expect(passed({ approvals: 2 }, { approvers })).toEqual([enough]);
  });

  it('that are missing are counted, with what there is and what to do', () => {
    expect(judge({ approvals: 2 }, { ...version, approvers: ['bob', 'ada'] }, champion)).toEqual([
      {
        gate: 'approvals',
        passed: false,
        required: '2, by principals other than training and ada, who made it',
        found: '1: bob',
        action: '1 more: assay approve delay 2',
      },
    ]);
  });
});

describe('bounds of a metric', () => {
  it('are met on the bound and inside, and not without the metric', () => {
    const bound = { metric: 'auc', min: 0.7, max: 0.8 };
    const at = (auc: number) => passed({ metrics: [bound] }, { metrics: { auc } });
    expect([at(0.7), at(0.8), at(0.69), at(0.81), at(Number.NaN)]).toEqual([[true], [true], [false], [false], [false]]);
    expect(passed({ metrics: [bound] }, { metrics: {} })).toEqual([false]);
    expect(passed({ metrics: [{ metric: 'constructor', min: 0 }] })).toEqual([false]);
  });
});

describe('a version beats the champion', () => {
  const auc: Gates = { betterThanChampion: [{ metric: 'auc', better: 'higher' }] };
  it('where the metric is better in the direction that is better', () => {
    expect(passed(auc)).toEqual([true]);
    expect(passed(auc, { metrics: { auc: 0.75 } })).toEqual([false]);
    expect(passed({ betterThanChampion: [{ metric: 'log_loss', better: 'lower', by: 0.09 }] })).toEqual([true]);
    expect(passed({ betterThanChampion: [{ metric: 'log_loss', better: 'lower', by: 0.2 }] })).toEqual([false]);
    expect(passed({ betterThanChampion: [{ metric: 'log_loss', better: 'higher' }] })).toEqual([false]);
  });

  it('on the same datasets alone, and never where none is known', () => {
    expect(passed(auc, { datasets: ['a'] })).toEqual([false]);
    expect(passed(auc, { datasets: ['a', 'c'] })).toEqual([false]);
    expect(passed(auc, { datasets: [] }, { ...champion, datasets: [] })).toEqual([false]);
  });

  it('where there is none yet, and where it is the champion itself', () => {
    expect(judge(auc, version, undefined)).toMatchObject([{ passed: true, found: 'there is no champion yet' }]);
    expect(passed(auc, { id: champion.id, metrics: {} })).toEqual([true]);
    expect(passed(auc, { metrics: {} })).toEqual([false]);
    expect(passed(auc, {}, { ...champion, metrics: {} })).toEqual([false]);
  });
});

describe('checks', () => {
  const gates: Gates = { checks: ['golden', 'parity'] };
  it('are passed by golden records from data, and a graph within the tolerance of its trainer', () => {
    expect(passed(gates)).toEqual([true, true]);
    const poor = {
      golden: { source: 'synthetic', records: 64 },
      parity: { rows: 9, maxDifference: 1e-5, tolerance: 1e-6 },
    } as const;
    expect(passed(gates, { checks: poor })).toEqual([false, false]);
  });

  it('that nobody made are not passed', () => {
    expect(passed(gates, { checks: undefined })).toEqual([false, false]);
    expect(passed(gates, { checks: { golden: { source: 'example', records: 1 } } })).toEqual([true, false]);
    expect(passed(gates, { notServable: 'no ONNX' })).toEqual([false, false]);
  });
});

describe('a version that was a shadow of the champion', () => {
  const counts = (rows: number, failedRows: number, ...disagreeing: number[]): ShadowCounts => ({
    ...{ rows, failedRows, droppedRows: 7, primaryRunMs: 1, shadowRunMs: 1 },
    outputs: disagreeing.map((disagreeingRows, i) => ({
      ...{ name: `output-${i}`, values: rows, differingRows: rows, disagreeingRows },
      ...{ sumAbsDifference: 1, maxAbsDifference: 1 },
    })),
  });
  const failing = (
    gates: NonNullable<Gates['shadow']>,
    shadow: ShadowCounts | undefined,
    against: Measured | undefined = champion,
  ) => judge({ shadow: gates }, { ...version, shadow }, against).flatMap(({ gate, passed }) => (passed ? [] : [gate]));

  it('is compared when so many rows were, none of which failed', () => {
    expect(failing({ rows: 100 }, counts(100, 0, 90))).toEqual([]);
    expect(failing({ rows: 100 }, counts(99, 0, 0))).toEqual(['shadow.rows']);
    expect(failing({ rows: 100 }, counts(100, 1, 0))).toEqual(['shadow.failed']);
    expect(failing({ rows: 100, maxFailedRatio: 0.01 }, counts(99, 1, 0))).toEqual(['shadow.rows']);
    expect(failing({ rows: 100 }, undefined)).toEqual(['shadow.rows']);
  });

  it('decides as the champion did, in each output', () => {
    expect(failing({ rows: 100, maxDisagreeingRatio: 0.02 }, counts(200, 0, 1, 4))).toEqual([]);
    expect(failing({ rows: 100, maxDisagreeingRatio: 0.02 }, counts(200, 0, 1, 5))).toEqual(['shadow.disagreeing']);
    expect(failing({ rows: 100, maxDisagreeingRatio: 0 }, counts(10, 1, 1))).toEqual([
      'shadow.rows',
      'shadow.failed',
      'shadow.disagreeing',
    ]);
  });

  it('has nobody to be compared with where there is no champion, or it is it', () => {
    expect(judge({ shadow: { rows: 1 } }, version, undefined)).toMatchObject([{ passed: true }]);
    expect(failing({ rows: 1 }, undefined, { ...champion, id: version.id })).toEqual([]);
  });
});
