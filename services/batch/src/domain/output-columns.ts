/** The columns of a results file. */
import { type Dtype, elementCount, type Signature } from '@assay/contracts';

/** One element of one output. */
export interface OutputColumn {
  readonly name: string;
  readonly dtype: Dtype;
  /** Position of the output in the signature. */
  readonly output: number;
  /** Position of the element in a record's value. */
  readonly element: number;
  /** Elements of a record's value. */
  readonly width: number;
}

export interface ResultLayout {
  readonly outputs: readonly OutputColumn[];
  /** Names of the copied input columns. */
  readonly copies: readonly string[];
}

/** What each row begins with; `file` only where the input has several. */
export const FIXED_COLUMNS = ['prediction_id', 'version_id', 'digest', 'row', 'file'] as const;

/**
 * Outputs are flattened: a vector `p` of two becomes `p_0` and `p_1`, or `p_no` and `p_yes` where its classes have names.
 * A name that is taken gets `output_` or `input_` before it.
 */
export function resultLayout(signature: Signature, copied: readonly string[]): ResultLayout {
  const taken = new Set<string>(FIXED_COLUMNS);
  const free = (name: string, prefix: string): string => {
    let free = name;
    while (taken.has(free.toLowerCase())) free = `${prefix}${free}`; // SQL does not tell cases apart
    taken.add(free.toLowerCase());
    return free;
  };
  const outputs = signature.outputs.flatMap(({ name, dtype, shape, classes }, output): OutputColumn[] => {
    const width = elementCount(shape);
    return Array.from({ length: width }, (_, element) => {
      const suffix = classes?.length === width ? String(classes[element]) : String(element);
      const flat = shape.length === 0 ? name : `${name}_${suffix}`;
      return { name: free(flat, 'output_'), dtype, output, element, width };
    });
  });
  return { outputs, copies: copied.map((name) => free(name, 'input_')) };
}
