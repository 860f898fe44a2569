import { describe, expect, it } from 'vitest';
import { originOf, pinnedLibraries } from './version-origin.ts';

const producer = { name: 'assay', version: '1' };

describe('what a package tells of its origin', () => {
  it('is its dataset, which stands for the files that were read', () => {
    const dataset = { id: 'ds_1', name: 'flights', version: 2, digest: 'd' };
    const lineage = { datasetSha256s: ['f', 'g'], dataset, libraries: {}, metrics: {} };
    expect(originOf({ producer, lineage }).inputs).toEqual([{ kind: 'dataset', digest: 'd', namedId: 'ds_1' }]);
  });

  it('is its files, and the versions that it was made from, each once', () => {
    const lineage = { datasetSha256s: ['f', 'g', 'f'], parents: ['p', 'p'], libraries: {}, metrics: {} };
    expect(originOf({ producer, lineage }).inputs).toEqual([
      { kind: 'file', digest: 'f' },
      { kind: 'file', digest: 'g' },
      { kind: 'version', digest: 'p' },
    ]);
  });
});

describe('the libraries of a requirements file', () => {
  it('are those that it pins to one version', () => {
    const text = [
      'mlflow==3.11.1',
      'onnx[extra] == 1.19.0  # as tested',
      'numpy===2.1.0; python_version > "3.9"',
      'pandas>=2',
      'scipy',
      '-r other.txt',
      'git+https://example.com/x.git',
      '# pinned==1',
      '',
    ].join('\r\n');
    expect(pinnedLibraries(text)).toEqual({ mlflow: '3.11.1', onnx: '1.19.0', numpy: '2.1.0' });
  });

  it('end somewhere', () => {
    const text = Array.from({ length: 5000 }, (_, i) => `lib${i}==1`).join('\n');
    expect(Object.keys(pinnedLibraries(text))).toHaveLength(1000);
  });
});
