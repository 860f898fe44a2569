import { expect, test } from 'vitest';
import { describe } from './index.ts';

test('the service describes its settings, metrics and routes without opening anything', async () => {
  const { config, metrics, openapi } = describe();
  expect(config.map((row) => row.environment)).toEqual(
    expect.arrayContaining(['ASSAY_INFERENCE_PORT', 'ASSAY_REGISTRY_URL', 'ASSAY_INFERENCE_CACHE_DIR']),
  );
  expect(config.every((row) => row.description.length > 10)).toBe(true);
  expect(metrics.map((row) => row.name)).toContain('assay_inference_request_seconds');
  const document = await openapi();
  expect(Object.keys(document.paths ?? {})).toEqual(
    expect.arrayContaining([
      '/v1/endpoints',
      '/v1/endpoints/{name}/score',
      '/v1/endpoints/{name}/signature',
      '/v2',
      '/v2/health/ready',
      '/v2/models/{model}/infer',
      '/v2/models/{model}/versions/{version}/infer',
    ]),
  );
});
