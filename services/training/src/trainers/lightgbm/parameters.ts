/** LightGBM's parameters: those that are ours to set, and the check of those that a spec sets. */
import { AssayError, type ErrorDetail, nearest } from '@assay/contracts';

export type ParameterValues = Readonly<Record<string, string | number | boolean>>;

/** What a spec may not set, by LightGBM's own name, and why. */
const RESERVED: Readonly<Record<string, string>> = {
  objective: 'the objective is binary',
  num_class: 'the objective is binary',
  metric: 'the first of the metrics of the spec decides',
  num_iterations: 'write trainer.rounds',
  early_stopping_round: 'write trainer.earlyStoppingRounds',
  num_threads: 'write threads',
  seed: 'write seed',
  verbosity: 'the log of the job has everything',
  categorical_feature: 'the features of the spec say which are categorical',
  zero_as_missing: 'a graph cannot tell a zero that is missing from one that is there',
  linear_tree: 'trees with linear leaves cannot be exported',
  sigmoid: 'the graph applies the plain sigmoid',
  boosting: 'only gbdt can be exported; leave it out',
  device_type: 'this trainer runs on the CPU; for a GPU take trainer xgboost with device: cuda',
  task: 'the job decides',
  config: 'files are read by the source of the spec only',
  data: 'files are read by the source of the spec only',
  valid: 'files are read by the source of the spec only',
  input_model: 'files are read by the source of the spec only',
  output_model: 'the job registers the model',
  forcedsplits_filename: 'files are read by the source of the spec only',
  forcedbins_filename: 'files are read by the source of the spec only',
  machines: 'training is on one machine',
  num_machines: 'training is on one machine',
  machine_list_filename: 'training is on one machine',
};

/**
 * Checks the parameters of a spec against those that the library knows.
 * @throws AssayError INVALID_ARGUMENT with the place of each that is unknown (with the nearest known), reserved or malformed
 */
export function checkParameters(given: ParameterValues, known: ReadonlyMap<string, readonly string[]>): void {
  const canonical = new Map<string, string>();
  for (const [name, aliases] of known) for (const alias of [name, ...aliases]) canonical.set(alias, name);
  const details: ErrorDetail[] = [];
  const seen = new Map<string, string>();
  for (const [name, value] of Object.entries(given)) {
    const place = `trainer.params.${name}`;
    const meant = canonical.get(name);
    const reserved = meant === undefined ? undefined : RESERVED[meant];
    const twin = meant === undefined ? undefined : seen.get(meant);
    if (meant === undefined) {
      const suggestion = nearest(name, canonical.keys());
      details.push({
        place,
        message: `LightGBM has no parameter "${name}"${suggestion === undefined ? '' : `; did you mean "${suggestion}"?`}`,
      });
    } else if (reserved) details.push({ place, message: `"${name}" cannot be set here: ${reserved}` });
    else if (twin !== undefined) details.push({ place, message: `"${name}" and "${twin}" are the same parameter` });
    else if (!/^[^\s=#]+$/.test(String(value))) {
      details.push({
        place,
        message: `${JSON.stringify(value)} holds a blank, = or #`,
        expected: 'one word or number',
      });
    }
    if (meant !== undefined) seen.set(meant, name);
  }
  const [first] = details;
  if (first !== undefined) throw new AssayError('INVALID_ARGUMENT', `${first.place}: ${first.message}`, { details });
}

/** Parameters in the form of LightGBM's config: `a=1 b=2`. */
export function formatParameters(values: ParameterValues): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ');
}
