import { AssayError } from '@assay/contracts';
import { describe, expect, test } from 'vitest';
import { type AssayManifest, readManifest, writeManifest } from './manifest.ts';

const manifest: AssayManifest = {
  formatVersion: 1,
  producer: { name: 'assay', version: '0.1.0' },
  createdAt: '2026-11-25T12:00:00.000Z',
  signature: {
    features: [{ name: 'id', dtype: 'int64', shape: [], nullable: false }],
    outputs: [{ name: 'score', dtype: 'float64', shape: [] }],
  },
  profile: {
    rows: 3,
    features: { id: { count: 3, missing: 0, histogram: { edges: [0, 1, 2], counts: [1, 2] } } },
  },
  golden: {
    source: 'training',
    records: [{ id: 9_007_199_254_740_993n }, { id: 5 }],
    outputs: [{ score: 0.25 }, { score: null }],
    tolerance: { absolute: 1e-6, relative: 1e-6 },
  },
  lineage: { datasetSha256s: ['0'.repeat(64)], libraries: { lightgbm: '4.7.0' }, metrics: { auc: 0.7 }, seed: 1 },
  files: { 'model.onnx': { sha256: 'f'.repeat(64), sizeBytes: 12 } },
};

function reading(change: (value: Record<string, unknown>) => void): () => unknown {
  const value: Record<string, unknown> = JSON.parse(writeManifest(manifest));
  change(value);
  return () => readManifest(JSON.stringify(value));
}

test('a manifest that was written is read the same, int64 values exact', () => {
  const text = writeManifest(manifest);
  expect(text).toContain('"id": 9007199254740993');
  expect(readManifest(text)).toEqual(manifest);
});

test('a double that is written like a long integer stays a double', () => {
  const huge: AssayManifest = {
    ...manifest,
    lineage: { ...manifest.lineage, metrics: { rows: 12_345_678_901_234_567_000 } },
  };
  expect(readManifest(writeManifest(huge))).toEqual(huge);
});

describe('writing is strict', () => {
  test.each([
    ['an unknown key', { ...manifest, extra: 1 }, 'extra'],
    ['an unknown key deep inside', { ...manifest, lineage: { ...manifest.lineage, sead: 1 } }, 'lineage.sead'],
    ['a missing key', { ...manifest, lineage: { libraries: {}, metrics: {} } }, 'lineage.datasetSha256s'],
    ['a digest that is none', { ...manifest, files: { a: { sha256: 'abc', sizeBytes: 1 } } }, 'files.a.sha256'],
  ])('%s is refused', (_what, wrong, place) => {
    expect(() => writeManifest(wrong as AssayManifest)).toThrow(
      expect.objectContaining({
        code: 'INVALID_ARGUMENT',
        details: expect.arrayContaining([expect.objectContaining({ place })]),
      }),
    );
  });

  test('a record without its outputs is refused', () => {
    const golden = { ...manifest.golden, outputs: manifest.golden.outputs.slice(1) };
    expect(() => writeManifest({ ...manifest, golden })).toThrow(/golden has 2 records and 1 outputs/);
  });
});

describe('reading is tolerant', () => {
  test('of keys that a later producer added, which are kept', () => {
    const read = reading((value) => Object.assign(value, { later: { a: 1 } }));
    expect(read()).toMatchObject({ later: { a: 1 } });
    expect(reading((value) => Object.assign(value.lineage as object, { later: 1 }))()).toMatchObject({
      lineage: { later: 1 },
    });
  });

  test('but not inside the signature, where they could change what a record means', () => {
    const read = reading((value) =>
      Object.assign((value.signature as { features: object[] }).features[0] ?? {}, { scale: 2 }),
    );
    expect(read).toThrow(/unknown key "scale"/);
  });
});

describe('a manifest is refused', () => {
  test.each([
    ['that is no JSON', '{', /assay.json is not JSON/],
    ['that is no object', '[]', /assay.json is not valid/],
    ['that is null', 'null', /assay.json is not valid/],
    [
      'of a newer format',
      JSON.stringify({ ...JSON.parse(writeManifest(manifest)), formatVersion: 2 }),
      /use a newer Assay/,
    ],
  ])('%s', (_what, text, message) => {
    expect(() => readManifest(text)).toThrow(message);
    expect(() => readManifest(text)).toThrow(expect.objectContaining({ code: 'UNPROCESSABLE_MODEL' }));
  });

  test('with every wrong place', () => {
    const read = reading((value) => Object.assign(value, { createdAt: 'yesterday', files: [] }));
    const error = AssayError.from(
      (() => {
        try {
          return read();
        } catch (thrown) {
          return thrown;
        }
      })(),
    );
    expect(error.details.map(({ place }) => place)).toEqual(expect.arrayContaining(['createdAt', 'files']));
  });

  test('that names a feature twice', () => {
    const twice = reading((value) => {
      const { features } = value.signature as { features: object[] };
      features.push(features[0] ?? {});
    });
    expect(twice).toThrow(/names feature "id" twice/);
  });

  test('whose histogram does not add up', () => {
    const read = reading((value) => {
      (value.profile as { features: { id: { histogram: { counts: number[] } } } }).features.id.histogram.counts.push(1);
    });
    expect(read).toThrow(/histogram of "id"/);
  });
});
