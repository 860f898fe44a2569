/** What Assay needs to know of a model that MLflow has saved. */
import { AssayError } from '@assay/contracts';
import { parse } from 'yaml';

export interface MlModelSummary {
  readonly flavors: readonly string[];
  /** The ONNX file, relative to the folder of MLmodel; undefined without that flavor. */
  readonly onnxFile: string | undefined;
  /** An input that was logged with the model. */
  readonly example: { readonly file: string; readonly type: string } | undefined;
}

/** @throws AssayError UNPROCESSABLE_MODEL for what is no MLmodel file */
export function readMlModel(text: string): MlModelSummary {
  let document: unknown;
  try {
    document = parse(text, { maxAliasCount: 10 });
  } catch (cause) {
    throw new AssayError('UNPROCESSABLE_MODEL', 'its MLmodel is no YAML', { cause });
  }
  const { flavors, saved_input_example_info: example } = mapping(document);
  const byName = mapping(flavors);
  const { data } = mapping(byName.onnx);
  const { artifact_path: file, type } = mapping(example);
  return {
    flavors: Object.keys(byName),
    onnxFile: typeof data === 'string' ? data : undefined,
    example: typeof file === 'string' && typeof type === 'string' ? { file, type } : undefined,
  };
}

function mapping(value: unknown): Record<string, unknown> {
  const isMapping = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isMapping ? (value as Record<string, unknown>) : {}; // a mapping of YAML has text keys
}
