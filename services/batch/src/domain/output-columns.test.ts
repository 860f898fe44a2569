import { expect, test } from 'vitest';
import { resultLayout } from './output-columns.ts';

const signature = (outputs: { name: string; shape?: number[]; classes?: (string | number)[] }[]) => ({
  features: [{ name: 'x', dtype: 'float32' as const, shape: [], nullable: false }],
  outputs: outputs.map((output) => ({ dtype: 'float32' as const, shape: [], ...output })),
});
const names = (layout: ReturnType<typeof resultLayout>) => layout.outputs.map(({ name }) => name);

test('a scalar keeps its name, a vector becomes a column for each element', () => {
  const layout = resultLayout(signature([{ name: 'score' }, { name: 'p', shape: [3] }]), ['x']);
  expect(names(layout)).toEqual(['score', 'p_0', 'p_1', 'p_2']);
  expect(layout.outputs[3]).toMatchObject({ output: 1, element: 2, width: 3 });
  expect(layout.copies).toEqual(['x']);
});

test('classes name the elements of a vector', () => {
  expect(names(resultLayout(signature([{ name: 'p', shape: [2], classes: ['no', 'yes'] }]), []))).toEqual([
    'p_no',
    'p_yes',
  ]);
});

test('a name that is taken gets a prefix, whatever its case', () => {
  const layout = resultLayout(signature([{ name: 'row' }, { name: 'label' }]), ['Label', 'digest']);
  expect(names(layout)).toEqual(['output_row', 'label']);
  expect(layout.copies).toEqual(['input_Label', 'input_digest']);
});
