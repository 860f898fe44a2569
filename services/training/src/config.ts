/** The settings of the training service. */
import { jobServiceSettings } from '@assay/job-service';
import { type ConfigOf, defineConfig, setting } from '@assay/runtime';
import Type from 'typebox';

export const trainingConfig = defineConfig('training', {
  ...jobServiceSettings('training', { port: 8103 }),
  lightgbmLibrary: setting(Type.String({ minLength: 1 }), {
    optional: true,
    description:
      'The file lib_lightgbm.so of LightGBM 4.7.0. Without it the one of the wheel, which pip fetches once into libraryCacheDir.',
  }),
  xgboostLibrary: setting(Type.String({ minLength: 1 }), {
    optional: true,
    description:
      'The file libxgboost.so of XGBoost 3.2.0. Without it the one of the wheel, which pip fetches once into libraryCacheDir: xgboost-cpu, or for jobs on a GPU xgboost, which has CUDA.',
  }),
  libraryCacheDir: setting(Type.String({ minLength: 1 }), {
    optional: true,
    description: 'Where fetched libraries are kept. Without it `training/libraries` in the data folder.',
  }),
});

export type TrainingConfig = ConfigOf<typeof trainingConfig>;
