/** XGBoost's parameters: those that are ours to set, and the check of those that a spec sets. */
import { AssayError, type ErrorDetail, nearest } from '@assay/contracts';

export type ParameterValues = Readonly<Record<string, string | number | boolean>>;

/** What a spec may not set, and why. */
const RESERVED: Readonly<Record<string, string>> = {
  objective: 'the objective is binary:logistic',
  num_class: 'the objective is binary:logistic',
  num_target: 'the objective is binary:logistic',
  multi_strategy: 'the objective is binary:logistic',
  eval_metric: 'the log loss of the validation rows decides',
  disable_default_eval_metric: 'the log loss of the validation rows decides',
  num_feature: 'the features of the spec are counted',
  num_trees: 'write trainer.rounds',
  num_round: 'write trainer.rounds',
  num_boost_round: 'write trainer.rounds',
  n_estimators: 'write trainer.rounds',
  early_stopping_rounds: 'write trainer.earlyStoppingRounds',
  nthread: 'write threads',
  n_jobs: 'write threads',
  seed: 'write seed',
  random_state: 'write seed',
  seed_per_iteration: 'write seed',
  device: 'write trainer.device',
  gpu_id: 'write trainer.device',
  fail_on_invalid_gpu_id: 'write trainer.device',
  booster: 'only gbtree can be exported; leave it out',
  tree_method: 'rows are kept in bins, which hist alone trains on; leave it out',
  updater: 'tree_method hist has its own',
  updater_seq: 'tree_method hist has its own',
  process_type: 'a job trains new trees',
  refresh_leaf: 'a job trains new trees',
  enable_categorical: 'the features of the spec say which are categorical',
  feature_types: 'the features of the spec say which are categorical',
  missing: 'what the source has no value for is missing',
  verbosity: 'the log of the job has everything',
  validate_parameters: 'parameters are always validated',
};

/** Names of the same parameter. */
const ALIASES: Readonly<Record<string, string>> = {
  eta: 'learning_rate',
  gamma: 'min_split_loss',
  lambda: 'reg_lambda',
  alpha: 'reg_alpha',
};

/**
 * Every parameter that a booster knows as it is set up: what its config holds under the keys `…_param`. XGBoost's own
 * validate_parameters looks at the same, but only warns.
 */
export function parametersIn(config: unknown): ReadonlySet<string> {
  const known = new Set<string>();
  const pending: unknown[] = [config];
  while (pending.length > 0) {
    const value = pending.pop();
    if (typeof value !== 'object' || value === null) continue;
    for (const [key, inner] of Object.entries(value)) {
      if (key.endsWith('_param')) for (const name of Object.keys(Object(inner))) known.add(name);
      else pending.push(inner);
    }
  }
  return known;
}

/**
 * Checks the parameters of a spec against those that the library knows.
 * @throws AssayError INVALID_ARGUMENT with the place of each that is unknown (with the nearest known) or reserved
 */
export function checkParameters(given: ParameterValues, known: ReadonlySet<string>): void {
  const details: ErrorDetail[] = [];
  const allowed = [...known].filter((name) => !(name in RESERVED));
  for (const name of Object.keys(given)) {
    const place = `trainer.params.${name}`;
    const reserved = RESERVED[name];
    const twin = ALIASES[name];
    if (reserved !== undefined) details.push({ place, message: `"${name}" cannot be set here: ${reserved}` });
    else if (!known.has(name)) {
      const suggestion = nearest(name, allowed);
      const hint = suggestion === undefined ? '' : `; did you mean "${suggestion}"?`;
      details.push({ place, message: `XGBoost has no parameter "${name}" for trees${hint}` });
    } else if (twin !== undefined && twin in given) {
      details.push({ place, message: `"${name}" and "${twin}" are the same parameter` });
    }
  }
  const [first] = details;
  if (first !== undefined) throw new AssayError('INVALID_ARGUMENT', `${first.place}: ${first.message}`, { details });
}
