import type { PackageFile, Signature } from '@assay/contracts';
import { describe, expect, it } from 'vitest';
import { type CandidateVersion, checkReservedName, checkVariants, contractProblems } from './endpoint-rules.ts';
import { checkAliasName, checkModelName } from './names.ts';
import { checkPackageFiles, sameFiles } from './package-files.ts';

const limits = { maxPackageBytes: 1000 };
const file = (path: string, sizeBytes = 1): PackageFile => ({ path, sha256: 'a'.repeat(64), sizeBytes });
const whole = [file('assay.json'), file('MLmodel'), file('model.onnx')];

describe('the list of files of a package', () => {
  it('is accepted when it is whole', () => {
    expect(() => checkPackageFiles([...whole, file('extra/notes.txt')], limits)).not.toThrow();
  });

  it('is refused without assay.json, with the command that makes one', () => {
    expect(() => checkPackageFiles([file('model.onnx')], limits)).toThrow(/no assay\.json.*assay register/);
  });

  it.each([
    [[...whole, file('ASSAY.json')], /same file/],
    [[...whole, file('a'), file('a/b')], /a file and a folder/],
  ])('is refused when two entries cannot lie in one folder', (files, message) => {
    expect(() => checkPackageFiles(files, limits)).toThrow(message);
  });

  it('is refused over the limit', () => {
    expect(() => checkPackageFiles([...whole, file('big', 1000)], limits)).toThrow(/1000/);
  });

  it('is the same in another order and not with another content', () => {
    expect(sameFiles(whole, [...whole].reverse())).toBe(true);
    expect(sameFiles(whole, whole.with(0, file('assay.json', 2)))).toBe(false);
    expect(sameFiles(whole, whole.slice(1))).toBe(false);
  });
});

describe('reserved names', () => {
  it.each(['latest', 'LATEST', 'v1', 'V12', '7'])('an alias may not be called %s', (alias) => {
    expect(() => checkAliasName(alias)).toThrow(/reserved/);
  });

  it.each(['champion', 'v1-candidate', 'latest-good', 'v'])('an alias may be called %s', (alias) => {
    expect(() => checkAliasName(alias)).not.toThrow();
  });

  it('a model may not be called like an id', () => {
    expect(() => checkModelName('mdl_1')).toThrow(/looks like a model id/);
    expect(() => checkModelName('mdl-1')).not.toThrow();
  });
});

describe('the variants of an endpoint', () => {
  it.each([
    [[9_999], /sum to 9999/],
    [[5_000, 5_001], /sum to 10001/],
    [[0], /sum to 0/],
  ])('weights of %j are refused', (weights, message) => {
    expect(() => checkVariants(weights.map((weight, i) => ({ versionId: `ver_${i}`, weight })))).toThrow(message);
  });

  it('are refused when one version comes twice', () => {
    const half = { versionId: 'ver_1', weight: 5_000 };
    expect(() => checkVariants([half, half])).toThrow(/variants\[1\]\.versionId/);
  });

  it('may have no weight as long as the sum is whole', () => {
    expect(() =>
      checkVariants([
        { versionId: 'ver_1', weight: 10_000 },
        { versionId: 'ver_2', weight: 0 },
      ]),
    ).not.toThrow();
  });
});

describe('the contract of an endpoint', () => {
  const contract: Signature = {
    features: [{ name: 'x', dtype: 'float32', shape: [], nullable: false }],
    outputs: [{ name: 'y', dtype: 'float32', shape: [] }],
  };
  const version = (signature: Signature, modelId = 'mdl_1'): CandidateVersion => ({
    id: 'ver_1',
    modelId,
    modelName: 'm',
    version: 2,
    signature,
    notServable: null,
  });

  it('is satisfied by its own signature', () => {
    expect(contractProblems('e', contract, [version(contract)])).toEqual([]);
  });

  it('names each reason, the version and the endpoint', () => {
    const other: Signature = {
      features: [
        { name: 'x', dtype: 'int64', shape: [], nullable: false },
        { name: 'z', dtype: 'float32', shape: [], nullable: false },
      ],
      outputs: [{ name: 'other', dtype: 'float32', shape: [] }],
    };
    const problems = contractProblems('e', contract, [version(other)]);
    expect(problems).toHaveLength(3);
    expect(problems[0]).toMatchObject({ place: 'endpoint e', message: expect.stringContaining('version 2 of m') });
  });

  it('lets a name reserved for a model serve that model only', () => {
    const owner = { id: 'mdl_1', name: 'e' };
    expect(() => checkReservedName('e', owner, [version(contract)])).not.toThrow();
    expect(() => checkReservedName('e', owner, [version(contract, 'mdl_2')])).toThrow(/reserved for the model/);
    expect(() => checkReservedName('e', undefined, [version(contract, 'mdl_2')])).not.toThrow();
  });
});
