/** The stage that makes the model, by the trainer that the spec names. */

import { deviceOf } from '../domain/device.ts';
import { loadLightGbm } from '../trainers/lightgbm/binding.ts';
import { findLightGbm } from '../trainers/lightgbm/library.ts';
import { trainLightGbm } from '../trainers/lightgbm/train.ts';
import { trainLogisticRegression } from '../trainers/logistic-regression.ts';
import type { TrainedModel, TrainingRequest } from '../trainers/trainer.ts';
import { loadXgBoost } from '../trainers/xgboost/binding.ts';
import { requireCudaDevice } from '../trainers/xgboost/cuda.ts';
import { findXgBoost } from '../trainers/xgboost/library.ts';
import { trainXgBoost } from '../trainers/xgboost/train.ts';
import type { JobInput } from './job-input.ts';
import type { LoadedRows } from './load-rows.ts';
import type { Reporter } from './reporter.ts';

/** Where this stage begins and ends, in percent of the job. */
const FROM_PERCENT = 22;
const TO_PERCENT = 74;

/** A trainer that has all that it needs but the rows. */
export type ReadyTrainer = (
  rows: LoadedRows,
  options: { readonly seed: number; readonly threads: number },
) => Promise<TrainedModel>;

/**
 * Finds and loads what the trainer of the spec needs: a GPU or a library that is not there is told before the data is read.
 * @throws AssayError FAILED_PRECONDITION, saying what to do
 */
export async function readyTrainer(input: JobInput, report: Reporter, signal: AbortSignal): Promise<ReadyTrainer> {
  const make = await chooseTrainer(input, report, signal);
  return ({ features, parts }, { seed, threads }) => {
    const { trainer } = input.spec;
    const rows = `${parts.train.rows} rows, ${parts.validation.rows} to validate on, ${threads} ${threads === 1 ? 'thread' : 'threads'}`;
    report.stage('train', FROM_PERCENT, `${trainer.name} on ${rows}`);
    return make({
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
    });
  };
}

async function chooseTrainer(
  { spec, libraries }: JobInput,
  report: Reporter,
  signal: AbortSignal,
): Promise<(request: TrainingRequest) => Promise<TrainedModel>> {
  const { trainer, metrics } = spec;
  const options = (library: string | undefined) => ({
    cacheDir: libraries.cacheDir,
    ...(library === undefined ? {} : { library }),
    onFetch: (what: string) => report.note(`fetching ${what} with pip, once`),
    signal,
  });
  switch (trainer.name) {
    case 'logistic-regression':
      return (request) => trainLogisticRegression(trainer, request);
    case 'lightgbm': {
      const library = await loadLightGbm(await findLightGbm(options(libraries.lightgbm)));
      library.onLog((line) => report.log(line));
      return (request) => trainLightGbm(library, trainer, metrics, request);
    }
    case 'xgboost': {
      const device = deviceOf(spec);
      if (device === 'cuda') await requireCudaDevice({ signal });
      const library = loadXgBoost(await findXgBoost(device, options(libraries.xgboost)));
      library.onLog((line) => report.log(line));
      return (request) => trainXgBoost(library, { ...trainer, device }, request);
    }
  }
}
