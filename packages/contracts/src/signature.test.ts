import { describe, expect, it } from 'vitest';
import { type Feature, incompatibilities, type Signature } from './signature.ts';

const age: Feature = { name: 'age', dtype: 'float64', shape: [], nullable: false };
const probability = { name: 'p', dtype: 'float32', shape: [2] } as const;

function signature(features: Feature[], outputs: Signature['outputs'] = [{ ...probability, shape: [2] }]): Signature {
  return { features, outputs };
}

describe('a version satisfies the contract of an endpoint', () => {
  it('when it is the same', () => {
    expect(incompatibilities(signature([age]), signature([age]))).toEqual([]);
  });

  it('when it takes more than was promised', () => {
    const offered = signature([
      { ...age, nullable: true },
      { ...age, name: 'extra', nullable: true },
    ]);
    expect(incompatibilities(signature([age]), offered)).toEqual([]);
  });

  it('but not when it needs a feature that callers do not send', () => {
    expect(incompatibilities(signature([age]), signature([age, { ...age, name: 'income' }]))).toEqual([
      'feature "income" is required and not part of the contract',
    ]);
  });

  it('but not when it lacks a feature, refuses null, or changes a type or shape', () => {
    const contract = signature([
      { ...age, nullable: true },
      { ...age, name: 'b' },
      { ...age, name: 'c' },
    ]);
    const offered = signature([age, { ...age, name: 'b', dtype: 'string' }, { ...age, name: 'c', shape: [3] }]);
    expect(incompatibilities(contract, offered)).toEqual([
      'feature "age" may not be null',
      'feature "b" is string, the contract says float64',
      'feature "c" is float64[3], the contract says float64',
    ]);
  });

  it('but not when it closes or narrows a set of values, or a range', () => {
    const carrier: Feature = { name: 'carrier', dtype: 'string', shape: [], nullable: false };
    const closed = (values: string[]): Feature => ({ ...carrier, values: { set: 'closed', values } });
    expect(incompatibilities(signature([carrier]), signature([closed(['AA'])]))).toHaveLength(1);
    expect(incompatibilities(signature([closed(['AA', 'UA'])]), signature([closed(['AA'])]))).toEqual([
      'feature "carrier" does not take UA',
    ]);
    expect(incompatibilities(signature([closed(['AA'])]), signature([closed(['AA', 'UA'])]))).toEqual([]);
    expect(incompatibilities(signature([age]), signature([{ ...age, range: { min: 0 } }]))).toHaveLength(1);
    expect(
      incompatibilities(
        signature([{ ...age, range: { min: 1, max: 9 } }]),
        signature([{ ...age, range: { min: 0, max: 10 } }]),
      ),
    ).toEqual([]);
  });

  it('but not without every output that the contract names', () => {
    expect(
      incompatibilities(signature([age]), signature([age], [{ name: 'q', dtype: 'float32', shape: [2] }])),
    ).toEqual(['output "p" is not given']);
  });
});
