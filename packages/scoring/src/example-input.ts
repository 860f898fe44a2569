/**
 * Records from an input example as MLflow saves it (`input_example.json`): a DataFrame in split form
 * `{"columns", "data"}`, tensors by name `{name: values}`, or one tensor; MLflow 2 writes tensors under `inputs`.
 * https://mlflow.org/docs/latest/ml/model/signatures/
 */
import type { Feature, Signature } from '@assay/contracts';

/** As many as help; an example may be a whole data set. */
const MAX_RECORDS = 32;

/** Empty when the example is of another form, or holds what the features do not take. */
export function recordsOfExample(example: unknown, signature: Signature): Record<string, unknown>[] {
  const columns = columnsOf(example, signature);
  if (columns === undefined) return [];
  const rows = Math.min(MAX_RECORDS, ...columns.map(({ values }) => values.length));
  return Array.from({ length: rows }, (_, row) =>
    Object.fromEntries(columns.map(({ feature, values }) => [feature.name, scalarOrVector(feature, values[row])])),
  );
}

interface Column {
  readonly feature: Feature;
  readonly values: readonly unknown[];
}

function columnsOf(example: unknown, { features }: Signature): Column[] | undefined {
  const { columns, data, inputs } = isObject(example) ? example : {};
  if (Array.isArray(columns) && Array.isArray(data) && data.every(Array.isArray)) {
    return all(features, ({ name }) => {
      const at = columns.indexOf(name);
      return at === -1 ? undefined : data.map((row) => row[at]);
    });
  }
  const tensors = inputs !== undefined && !features.some(({ name }) => name === 'inputs') ? inputs : example;
  if (isObject(tensors)) {
    return all(features, ({ name }) => {
      const values = Object.hasOwn(tensors, name) ? tensors[name] : undefined;
      return Array.isArray(values) ? values : undefined;
    });
  }
  const [only] = features;
  if (features.length !== 1 || only === undefined || !Array.isArray(tensors)) return undefined;
  return [{ feature: only, values: tensors }];
}

function all(
  features: readonly Feature[],
  valuesOf: (feature: Feature) => readonly unknown[] | undefined,
): Column[] | undefined {
  const columns: Column[] = [];
  for (const feature of features) {
    const values = valuesOf(feature);
    if (values === undefined) return undefined;
    columns.push({ feature, values });
  }
  return columns;
}

/** A scalar often comes as a tensor of one: [[1], [2]] for two records. */
function scalarOrVector(feature: Feature, value: unknown): unknown {
  return feature.shape.length === 0 && Array.isArray(value) && value.length === 1 ? value[0] : value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
