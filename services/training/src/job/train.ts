/** The stage that makes the model, by the trainer that the spec names. */
import { loadLightGbm } from '../trainers/lightgbm/binding.ts';
import { findLightGbm } from '../trainers/lightgbm/library.ts';
import { trainLightGbm } from '../trainers/lightgbm/train.ts';
import { trainLogisticRegression } from '../trainers/logistic-regression.ts';
import type { TrainedModel, TrainingRequest } from '../trainers/trainer.ts';
import type { JobInput } from './job-input.ts';
import type { LoadedRows } from './load-rows.ts';
import type { Reporter } from './reporter.ts';

/** Where this stage begins and ends, in percent of the job. */
const FROM_PERCENT = 22;
const TO_PERCENT = 74;

export async function train(
  { spec, lightgbm }: JobInput,
  { features, parts }: LoadedRows,
  { seed, threads }: { readonly seed: number; readonly threads: number },
  report: Reporter,
  signal: AbortSignal,
): Promise<TrainedModel> {
  const rows = `${parts.train.rows} rows, ${parts.validation.rows} to validate on, ${threads} ${threads === 1 ? 'thread' : 'threads'}`;
  report.stage('train', FROM_PERCENT, `${spec.trainer.name} on ${rows}`);
  const request: TrainingRequest = {
    features,
    train: parts.train,
    validation: parts.validation,
    seed,
    threads,
    signal,
    onStep({ done, of, metric, value }) {
      const percent = FROM_PERCENT + ((TO_PERCENT - FROM_PERCENT) * done) / of;
      report.progress(percent, `${done} of at most ${of}: ${metric} ${value.toFixed(4)}`, { [metric]: value });
    },
  };
  if (spec.trainer.name === 'logistic-regression') return trainLogisticRegression(spec.trainer, request);
  const location = await findLightGbm({
    cacheDir: lightgbm.cacheDir,
    ...(lightgbm.library === undefined ? {} : { library: lightgbm.library }),
    onFetch: (what) => report.note(`fetching ${what} with pip, once`),
    signal,
  });
  const library = await loadLightGbm(location);
  library.onLog((line) => report.log(line));
  return trainLightGbm(library, spec.trainer, spec.metrics, request);
}
