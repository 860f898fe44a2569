/** What a job trains on, and so what its machine must have. */
import type { ErrorDetail, TrainingSpec } from '@assay/contracts';

export type Device = 'cpu' | 'cuda';

type DeviceSpec = Pick<TrainingSpec, 'trainer' | 'resources'>;

/** A GPU where one is asked for, by the trainer's device or among the resources; else the CPU. */
export function deviceOf({ trainer, resources }: DeviceSpec): Device {
  if (trainer.name !== 'xgboost') return 'cpu';
  return trainer.device ?? ((resources?.gpus ?? 0) > 0 ? 'cuda' : 'cpu');
}

/** Where the trainer and the resources contradict each other. */
export function* deviceProblems({ trainer, resources }: DeviceSpec): Generator<ErrorDetail> {
  const { gpus } = resources ?? {};
  if (gpus === undefined) return;
  if (gpus > 0 && trainer.name !== 'xgboost') {
    yield {
      place: 'resources.gpus',
      message: `trainer ${trainer.name} trains on the CPU; a GPU would lie idle`,
      expected: 'no gpus, or trainer xgboost',
    };
  } else if (trainer.name === 'xgboost' && gpus > 0 && trainer.device === 'cpu') {
    yield {
      place: 'resources.gpus',
      message: 'a GPU is asked for, and trainer.device is cpu',
      expected: 'no gpus, or device: cuda',
    };
  } else if (trainer.name === 'xgboost' && gpus === 0 && trainer.device === 'cuda') {
    yield {
      place: 'resources.gpus',
      message: 'is 0, and trainer.device is cuda',
      expected: '1, or device: cpu',
    };
  } else if (gpus > 1) {
    yield { place: 'resources.gpus', message: 'a job trains on one GPU', expected: '1' };
  }
}
