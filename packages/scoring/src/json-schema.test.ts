import type { Signature } from '@assay/contracts';
import { expect, test } from 'vitest';
import { describeSignatureAsJsonSchema } from './json-schema.ts';
import { feature, output } from './testing/models.ts';

const signature: Signature = {
  features: [
    feature('distance', 'float64', { range: { min: 0, max: 5000 }, unit: 'km', description: 'Great circle.' }),
    feature('carrier', 'string', { values: { set: 'closed', values: ['AA', 'UA'] }, nullable: true }),
    feature('airport', 'string', { values: { set: 'open', values: ['JFK'] } }),
    feature('at', 'timestamp'),
    feature('matrix', 'float32', { shape: [2, 3], nullable: true }),
  ],
  outputs: [output('label', 'int64'), { ...output('probabilities', 'float32', [2]), classes: [0, 1] }],
};

test('a signature is the JSON Schema of its record, request and outputs', () => {
  const { record, request, outputs } = describeSignatureAsJsonSchema(signature);
  expect(record).toEqual({
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Record',
    type: 'object',
    additionalProperties: false,
    required: ['distance', 'airport', 'at'],
    properties: {
      distance: {
        type: 'number',
        minimum: 0,
        maximum: 5000,
        description: 'Great circle.',
        'x-unit': 'km',
        'x-dtype': 'float64',
      },
      carrier: { enum: ['AA', 'UA', null], 'x-dtype': 'string' },
      airport: { type: 'string', examples: ['JFK'], 'x-dtype': 'string' },
      at: { type: 'string', format: 'date-time', 'x-dtype': 'timestamp' },
      matrix: {
        type: ['array', 'null'],
        minItems: 2,
        maxItems: 2,
        items: {
          type: 'array',
          minItems: 3,
          maxItems: 3,
          items: { type: ['number', 'null'], minimum: -3.4028234663852886e38, maximum: 3.4028234663852886e38 },
        },
        'x-dtype': 'float32',
      },
    },
  });
  expect(request).toMatchObject({
    required: ['records'],
    properties: { records: { minItems: 1, items: { title: 'Record' } } },
  });
  expect(outputs).toMatchObject({
    required: ['label', 'probabilities'],
    properties: { label: { type: 'integer' }, probabilities: { type: 'array', minItems: 2, 'x-classes': [0, 1] } },
  });
});
