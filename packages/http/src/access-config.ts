/** The settings of every service that checks keys and is not the registry; spread into its own. */
import { KEY_TEXT_PATTERN } from '@assay/contracts';
import { setting } from '@assay/runtime';
import Type from 'typebox';

export const accessSettings = {
  serviceKey: setting(Type.String({ pattern: KEY_TEXT_PATTERN }), {
    optional: true,
    secret: true,
    env: 'ASSAY_SERVICE_KEY',
    description:
      'The API key of the service itself: what it shows to the registry. With it every call to the service needs a key, and it may listen beyond loopback.',
  }),
  keyStalenessMaxMs: setting(Type.Integer({ minimum: 10_000 }), {
    default: 24 * 3_600_000,
    unit: 'ms',
    env: 'ASSAY_KEY_STALENESS_MAX_MS',
    description:
      'How long the API keys that the registry told last are believed when it cannot be reached; then calls that need a key are refused. A key that is revoked meanwhile lives on for as long at most.',
  }),
};
