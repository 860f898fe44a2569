import { expect, test } from 'vitest';
import { checkParameters, parametersIn } from './parameters.ts';

/** In the form of XGBoosterSaveJsonConfig. */
const CONFIG = {
  learner: {
    generic_param: { device: 'cpu', nthread: '2', seed: '1' },
    gradient_booster: {
      name: 'gbtree',
      tree_train_param: { max_depth: '6', eta: '0.3', learning_rate: '0.3' },
      updater: [{ hist_train_param: { max_cached_hist_node: '65536' }, name: 'grow_quantile_histmaker' }],
    },
    objective: { name: 'binary:logistic', reg_loss_param: { scale_pos_weight: '1' } },
  },
  version: [3, 2, 0],
};
const KNOWN = parametersIn(CONFIG);

test('every parameter in the config is known, however deep, and nothing else is', () => {
  expect([...KNOWN].sort()).toEqual(
    [
      'device',
      'eta',
      'learning_rate',
      'max_cached_hist_node',
      'max_depth',
      'nthread',
      'scale_pos_weight',
      'seed',
    ].sort(),
  );
});

test('known parameters pass', () => {
  expect(() => checkParameters({ max_depth: 3, eta: 0.1, scale_pos_weight: 2 }, KNOWN)).not.toThrow();
});

test.each([
  [
    { max_dept: 3 },
    'trainer.params.max_dept: XGBoost has no parameter "max_dept" for trees; did you mean "max_depth"?',
  ],
  [{ devise: 'cuda' }, 'XGBoost has no parameter "devise" for trees'],
  [{ device: 'cuda' }, 'trainer.params.device: "device" cannot be set here: write trainer.device'],
  [{ n_estimators: 10 }, '"n_estimators" cannot be set here: write trainer.rounds'],
  [{ eta: 0.1, learning_rate: 0.2 }, 'trainer.params.eta: "eta" and "learning_rate" are the same parameter'],
])('%j is refused', (given, message) => {
  expect(() => checkParameters(given, KNOWN)).toThrow(message);
});

test('what cannot be set is not suggested', () => {
  expect(() => checkParameters({ sed: 3 }, KNOWN)).toThrow(
    /^trainer\.params\.sed: XGBoost has no parameter "sed" for trees$/,
  );
});
