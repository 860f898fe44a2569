import { describe, expect, it } from 'vitest';
import {
  findAttribute,
  float,
  floatOf,
  floats,
  floatsOf,
  int,
  intOf,
  ints,
  intsOf,
  string,
  stringOf,
  strings,
  stringsOf,
} from './attributes.ts';
import { GraphBuilder } from './graph-builder.ts';
import type { Attribute } from './model.ts';
import { readModel } from './read-model.ts';

const graph = new GraphBuilder();
graph.input('x', 'float32', [1]);
graph.node('Anything', ['x'], {
  attributes: {
    int: int(-(2n ** 63n)),
    ints: ints([2n ** 53n + 1n, -1, 0]),
    float: float(0.1),
    floats: floats([0.5, Number.NaN, -0]),
    string: string('ü'),
    strings: strings(['', 'b']),
  },
});
const node = readModel(graph.build()).graph.nodes[0];

function attributeOf(name: string): Attribute {
  const attribute = node && findAttribute(node, name);
  if (attribute === undefined) throw new Error(`no attribute ${name}`);
  return attribute;
}

describe('attributes', () => {
  it('are read as they were written', () => {
    expect(intOf(attributeOf('int'))).toBe(-(2n ** 63n));
    expect(intsOf(attributeOf('ints'))).toEqual([2n ** 53n + 1n, -1n, 0n]);
    expect(floatOf(attributeOf('float'))).toBe(Math.fround(0.1));
    expect(floatsOf(attributeOf('floats'))).toEqual([0.5, Number.NaN, -0]);
    expect(stringOf(attributeOf('string'))).toBe('ü');
    expect(stringsOf(attributeOf('strings'))).toEqual(['', 'b']);
  });

  it('are refused when they are of another type than wanted', () => {
    expect(() => intOf(attributeOf('float'))).toThrow('attribute "float" is not an int');
    expect(() => stringOf(attributeOf('strings'))).toThrow('attribute "strings" is not a string');
    expect(intsOf(attributeOf('float'))).toEqual([]);
  });
});
