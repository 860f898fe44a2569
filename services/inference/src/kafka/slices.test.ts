import { describe, expect, test } from 'vitest';
import { rowsWithin, sliceRows } from './slices.ts';

describe('a slice has', () => {
  test('a full batch of a cheap model', () => {
    expect(sliceRows({ measured: { oneRowMs: 0.02, fullBatchMs: 0.5 }, maxBatchRows: 64 })).toBe(64);
  });
  test('as many rows of a dearer one as a short run takes', () => {
    expect(sliceRows({ measured: { oneRowMs: 0.2, fullBatchMs: 12.8 }, maxBatchRows: 64 })).toBe(24);
  });
  test('a full batch where rows cost nothing beside the run itself', () => {
    expect(sliceRows({ measured: { oneRowMs: 5, fullBatchMs: 5.5 }, maxBatchRows: 64 })).toBe(64);
  });
  test('a row or two where even one takes long', () => {
    expect(sliceRows({ measured: { oneRowMs: 10, fullBatchMs: 640 }, maxBatchRows: 64 })).toBe(2);
  });
  test('one row of a version that runs row by row', () => {
    expect(sliceRows({ measured: { oneRowMs: 1, fullBatchMs: 1 }, maxBatchRows: 1 })).toBe(1);
  });
});

test('a chunk is no more than is scored in time, and one record at least', () => {
  expect(rowsWithin({ measured: { oneRowMs: 1, fullBatchMs: 64 }, maxBatchRows: 64 }, 500)).toBe(500);
  expect(rowsWithin({ measured: { oneRowMs: 2000, fullBatchMs: 9000 }, maxBatchRows: 4 }, 500)).toBe(1);
});
