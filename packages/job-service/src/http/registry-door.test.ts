import { describe, expect, test } from 'vitest';
import { callsToRead, callsToRegister } from '../datasets.ts';
import { isAmong } from './registry-door.ts';

const dataset = { id: 'ds_1', datasetName: 'flights', version: 3, digest: 'd'.repeat(64) };

describe('the door to the registry', () => {
  test.each([
    ['GET', '/v1/datasets/flights/versions/3'],
    ['GET', '/v1/datasets/flights/versions/3/files/part-1.parquet'],
  ])('lets a job read the version of its dataset: %s %s', (method, path) => {
    expect(isAmong(callsToRead(dataset), method, path)).toBe(true);
  });

  test.each([
    ['GET', '/v1/datasets/flights/versions/4'],
    ['GET', '/v1/datasets/flights/versions/33'],
    ['GET', '/v1/datasets/flights/versions/3?x=1'],
    ['GET', '/v1/datasets/flights/versions/3/files/'],
    ['GET', '/v1/datasets/flights/versions/3/files/../../4/files/a'],
    ['GET', '/v1/datasets/flights/versions/3/files/%2e%2e/%2E%2E/4'],
    ['GET', '/v1/datasets/flights/versions/3/files/..%2f..%2f4'],
    ['GET', '/v1/datasets/flights/versions/3/files/a\\..\\b'],
    ['GET', '/v1/datasets/flights'],
    ['GET', '/v1/datasets'],
    ['PUT', '/v1/datasets/flights/versions/3/files/a'],
    ['POST', '/v1/datasets/flights/versions'],
    ['GET', '/v1/keys'],
    ['GET', ''],
  ])('keeps it from all else: %s %s', (method, path) => {
    expect(isAmong(callsToRead(dataset), method, path)).toBe(false);
  });

  test('lets a job that writes a dataset register its versions, and read none', () => {
    const calls = callsToRegister('scored');
    const sha256 = '0'.repeat(64);
    expect(isAmong(calls, 'HEAD', `/v1/blobs/${sha256}`)).toBe(true);
    expect(isAmong(calls, 'PUT', `/v1/blobs/${sha256}`)).toBe(true);
    expect(isAmong(calls, 'POST', '/v1/datasets/scored/versions')).toBe(true);
    expect(isAmong(calls, 'GET', `/v1/blobs/${sha256}`)).toBe(false);
    expect(isAmong(calls, 'POST', '/v1/datasets/other/versions')).toBe(false);
    expect(isAmong(calls, 'GET', '/v1/datasets/scored/versions/1')).toBe(false);
  });
});
