import type { DatasetLineage, LineageDataset, LineageVersion, VersionLineage } from '@assay/contracts';
import { describe, expect, test } from 'vitest';
import { datasetTree, versionTree } from './commands/lineage.ts';
import { assay, fakeServices } from './fake-services.ts';
import { treeText } from './tree.ts';

const digest = (digit: string) => digit.repeat(64);

function dataset(name: string, parents: string[] = [], more: Partial<LineageDataset> = {}): LineageDataset {
  return {
    ...{ id: `ds_${name}`, name, version: 1, digest: digest('d'), layer: 'raw', owner: '', licence: '' },
    ...{ personalData: [], parents, createdAt: 0, createdBy: 'ada' },
    ...more,
  };
}

const version: LineageVersion = {
  ...{ id: 'ver_1', modelId: 'mdl_1', modelName: 'delay', version: 3, digest: digest('a') },
  ...{ createdAt: 0, createdBy: 'ada', isDeleted: false },
};

const lineage: VersionLineage = {
  version,
  origin: {
    jobId: 'job_1',
    code: { version: '1.2', commit: 'c0ffee' },
    seed: 7,
    libraries: { lightgbm: '4.6', onnx: '1.19' },
  },
  inputs: [
    { kind: 'dataset', digest: digest('d'), toldBy: 'package', datasets: ['ds_processed'] },
    { kind: 'file', digest: digest('f'), toldBy: 'package', datasets: [] },
  ],
  datasets: [
    dataset('processed', ['ds_left', 'ds_right'], { layer: 'processed' }),
    dataset('left', ['ds_raw']),
    dataset('right', ['ds_raw']),
    dataset('raw', ['ds_older'], { personalData: ['name'], licence: 'internal' }),
    dataset('older'),
  ],
  parents: [{ digest: digest('b'), versions: [] }],
  children: [{ ...version, id: 'ver_2', version: 4 }],
  aliases: [{ alias: 'champion', revision: 2, from: 0, by: 'ada' }],
  endpoints: [
    { endpointId: 'ept_1', endpoint: 'delay', weight: 9000, revision: 5, from: 0, by: 'ada' },
    { endpointId: 'ept_1', endpoint: 'delay', weight: 10_000, revision: 4, from: 0, until: 1000, by: 'bob' },
  ],
  truncated: false,
  unread: false,
};

describe('assay lineage', () => {
  test('draws a tree: made by, made from, serves, served before; what is shown twice has its branches once', () => {
    expect(treeText(versionTree(lineage))).toBe(`delay 3 (aaaaaaaaaaaa), registered 1970-01-01 00:00:00 by ada
├─ made by
│  ├─ job job_1
│  ├─ code version 1.2, commit c0ffee
│  ├─ seed 7
│  └─ libraries lightgbm 4.6, onnx 1.19
├─ made from
│  ├─ processed@1 (processed; dddddddddddd)
│  │  ├─ left@1 (raw; dddddddddddd)
│  │  │  └─ raw@1 (raw; dddddddddddd; licence internal; personal data: name)
│  │  │     └─ older@1 (raw; dddddddddddd)
│  │  └─ right@1 (raw; dddddddddddd)
│  │     └─ raw@1 (see above)
│  └─ file ${digest('f')}: no registered dataset is known by this digest
├─ made from versions
│  └─ ${digest('b')}: no version here has this digest
├─ versions made from it
│  └─ delay 4 (aaaaaaaaaaaa)
├─ serves
│  ├─ alias champion, revision 2, since 1970-01-01 00:00:00 by ada
│  └─ endpoint delay, 90 %, revision 5, since 1970-01-01 00:00:00 by ada
└─ served before
   └─ endpoint delay, 100 %, revision 4, since 1970-01-01 00:00:00 until 1970-01-01 00:00:01 by bob
`);
  });

  test('names the spec that the registry keeps, and its digest as far as it is known', () => {
    const specOf = (origin: Partial<VersionLineage['origin']>) =>
      treeText(versionTree({ ...lineage, origin: { ...lineage.origin, ...origin } }))
        .split('\n')
        .find((line) => line.includes('spec '));
    const specSource = { name: 'nightly', revision: 3 };
    expect(specOf({ specSha256: digest('e'), specSource })).toBe(`│  ├─ spec nightly, revision 3 (${digest('e')})`);
    expect(specOf({ specSource })).toBe('│  ├─ spec nightly, revision 3');
    expect(specOf({ specSha256: digest('e') })).toBe(`│  ├─ spec ${digest('e')}`);
  });

  test('gives the answer of the registry with --json, and suggests the model that was meant', async () => {
    const services = await fakeServices({
      'GET /v1/models/delay/versions/3/lineage': [200, lineage],
      'GET /v1/models': [200, { items: [] }],
    });
    try {
      const found = await assay(['lineage', 'delay', '3', '--json', '--registry', services.url]);
      expect([found.code, JSON.parse(found.out)]).toEqual([0, lineage]);
      const missing = await assay(['lineage', 'dealy', '3', '--registry', services.url]);
      expect([missing.code, missing.out]).toEqual([4, '']);
      expect(missing.err).toContain('there is no model "dealy"');
    } finally {
      await services.close();
    }
  });
});

describe('assay datasets lineage', () => {
  test('draws what it was made from, and the models that it and what was made from it fed', () => {
    const found: DatasetLineage = {
      dataset: dataset('cleaned', ['ds_raw']),
      ancestors: [dataset('raw')],
      descendants: [dataset('processed', ['ds_cleaned'])],
      fed: [
        { version: { ...version, isDeleted: true }, dataset: 'ds_cleaned', toldBy: 'run', context: 'evaluation' },
        { version, dataset: 'ds_processed', toldBy: 'package' },
      ],
      truncated: true,
      unread: false,
    };
    expect(treeText(datasetTree(found))).toBe(`cleaned@1 (raw; dddddddddddd)
├─ made from
│  └─ raw@1 (raw; dddddddddddd)
├─ fed
│  └─ model delay 3 (aaaaaaaaaaaa), deleted, evaluation
├─ made from it
│  └─ processed@1 (raw; dddddddddddd)
│     └─ model delay 3 (aaaaaaaaaaaa)
└─ more is known than is shown here
`);
  });
});
