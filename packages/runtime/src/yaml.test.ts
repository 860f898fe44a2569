import { AssayError } from '@assay/contracts';
import Type from 'typebox';
import { expect, test } from 'vitest';
import { parseYaml } from './yaml.ts';

const Feature = Type.Object(
  { name: Type.String(), dtype: Type.Enum(['float64', 'string']), 'odd key': Type.Optional(Type.Integer()) },
  { additionalProperties: false },
);
const Spec = Type.Object(
  { model: Type.String(), features: Type.Array(Feature, { minItems: 1 }) },
  { additionalProperties: false },
);

function detailsOf(text: string): string[] {
  try {
    parseYaml(Spec, text, 'spec.yaml');
  } catch (error) {
    if (error instanceof AssayError) return error.details.map(({ place, message }) => `${place}: ${message}`);
    throw error;
  }
  throw new Error('it was accepted');
}

test('a right document is given as it is', () => {
  const text = 'model: m\nfeatures:\n  - name: a\n    dtype: string\n  - { name: b, dtype: float64, odd key: 3 }\n';
  expect(parseYaml(Spec, text, 'spec.yaml')).toEqual({
    model: 'm',
    features: [
      { name: 'a', dtype: 'string' },
      { name: 'b', dtype: 'float64', 'odd key': 3 },
    ],
  });
});

test('a typo is told with its line and the nearest valid key', () => {
  expect(
    detailsOf('# a spec\nmodel: m\n\nfeatures:\n  - name: a\n    dtype: string\n  - name: b\n    dtpe: string\n'),
  ).toEqual([
    'spec.yaml:7: features[1].dtype: is required',
    'spec.yaml:8: features[1].dtpe: unknown key "dtpe"; did you mean "dtype"?',
  ]);
});

test('a wrong value is told with the line of its key', () => {
  expect(detailsOf('model: m\nfeatures:\n  - name: a\n    dtype: strin\n')).toEqual([
    'spec.yaml:4: features[0].dtype: "strin" is not one of the allowed values; did you mean "string"?',
  ]);
  expect(detailsOf('model: m\nfeatures:\n  - name: a\n    dtype: string\n    odd key: x\n')).toEqual([
    'spec.yaml:5: features[0]["odd key"]: must be integer, got "x"',
  ]);
});

test('an empty document, a list and text are no spec', () => {
  for (const text of ['', '- a', 'hello']) expect(detailsOf(text)[0]).toMatch(/^spec\.yaml:1: must be object/);
});

test('syntax errors, duplicate keys and several documents are told with their line', () => {
  expect(detailsOf('model: m\nfeatures: [a\nx: 1')[0]).toMatch(/^spec\.yaml:\d: /);
  expect(detailsOf('model: m\nmodel: n\n')[0]).toMatch(/^spec\.yaml:2: .*unique/);
  expect(detailsOf('model: m\n---\nmodel: n\n')[0]).toMatch(/^spec\.yaml:\d: /);
});

test('what would harm a reader is refused: alias bombs, depth, prototype keys, size', () => {
  const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${['b', 'c', 'd', 'e', 'f', 'g']
    .map((key, i) => `${key}: &${key} [${Array(9).fill(`*${'abcdef'[i]}`).join(',')}]`)
    .join('\n')}\n`;
  expect(() => parseYaml(Spec, bomb, 'spec.yaml')).toThrow(/spec\.yaml: .*alias/i);
  for (const depth of [100, 100_000]) {
    expect(() => parseYaml(Spec, `model: ${'['.repeat(depth)}${']'.repeat(depth)}`, 'spec.yaml')).toThrow(AssayError);
  }
  expect(() => parseYaml(Spec, '__proto__: {model: x}', 'spec.yaml')).toThrow(AssayError);
  expect(() => parseYaml(Spec, '#'.repeat(1_000_001), 'spec.yaml')).toThrow('characters');
});

test('words are text: a country is no boolean', () => {
  const Country = Type.Object({ country: Type.String() });
  expect(parseYaml(Country, 'country: NO', 'x.yaml')).toEqual({ country: 'NO' });
});
