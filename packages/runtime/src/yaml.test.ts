import { AssayError } from '@assay/contracts';
import fc from 'fast-check';
import Type from 'typebox';
import { expect, test } from 'vitest';
import { parseYaml, readYaml, readYamlDocuments, writeYaml } from './yaml.ts';

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

test('several documents of a file are each told by the lines of the file', () => {
  const documents = readYamlDocuments('model: a\n---\n# nothing\n---\nmodel: b\nfeatures: 3\n', 'x.yaml');
  expect(documents.map(({ value }) => value)).toEqual([{ model: 'a' }, { model: 'b', features: 3 }]);
  expect(documents[1]?.place([])).toBe('x.yaml:5');
  expect(documents[1]?.problems(Spec).map(({ place }) => place)).toEqual(['x.yaml:6: features']);
  expect(readYamlDocuments('', 'x.yaml')).toEqual([]);
  expect(() => readYamlDocuments('model: a\n---\nmodel: [\n', 'x.yaml')).toThrow(/^x\.yaml:\d: /);
});

test('what is written is read again as it was', () => {
  const scalar = fc.oneof(fc.string(), fc.integer());
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.string(), scalar), { maxLength: 3 }), (entries) => {
      const value = Object.fromEntries(entries);
      fc.pre(!Object.hasOwn(value, '__proto__'));
      expect(readYaml(writeYaml({ value }), 'x.yaml').value).toEqual({ value });
    }),
  );
  for (const text of [
    'NO',
    '1e3',
    '~',
    ' a ',
    'a\n\n b\t\n',
    '- x',
    'a: b',
    '# c',
    'x'.repeat(300),
    '\u0000\u2028',
    '2001-01-01',
  ]) {
    expect(readYaml(writeYaml({ [text]: text }), 'x.yaml').value).toEqual({ [text]: text });
  }
  expect(writeYaml({ b: 1, a: { d: 1, c: 2 } }, { sorted: true })).toBe('a:\n  c: 2\n  d: 1\nb: 1\n');
});
