/** The settings of the standalone process; those of its services are their own. */
import { type ConfigOf, defineConfig, setting } from '@assay/runtime';
import Type from 'typebox';

export const standaloneConfig = defineConfig('standalone', {
  dataDir: setting(Type.String({ minLength: 1 }), {
    default: './.assay',
    env: 'ASSAY_DATA_DIR',
    description:
      'Everything that is kept: databases, packages, caches, jobs, the event log, and `run.json` while it runs. One process a folder. The folders of the single services follow it.',
  }),
  keys: setting(Type.Boolean(), {
    default: false,
    description:
      'Whether every call needs an API key. Those of the administrator and of the services are made in `keys` in the data folder. Once there are keys they are needed, whatever this says; ASSAY_REGISTRY_BOOTSTRAP_KEYS_DIR brings them from elsewhere.',
  }),
  trainExample: setting(Type.Boolean(), {
    default: true,
    description: 'Whether a start on an empty registry trains the example model, flight-delay.',
  }),
  restartFirstMs: setting(Type.Integer({ minimum: 1, maximum: 3_600_000 }), {
    default: 250,
    unit: 'ms',
    description: 'The pause before the inference thread is started again after a crash; it doubles with each more.',
  }),
  restartMaxMs: setting(Type.Integer({ minimum: 1, maximum: 3_600_000 }), {
    default: 30_000,
    unit: 'ms',
    description: 'The longest such pause.',
  }),
});

export type StandaloneConfig = ConfigOf<typeof standaloneConfig>;
