import { expect, test } from 'vitest';
import { describe as describeMonitoring } from './index.ts';

test('describes its settings, metrics and API without opening anything', async () => {
  const { name, config, metrics, openapi } = describeMonitoring();
  expect(name).toBe('monitoring');
  expect(config.length).toBeGreaterThan(10);
  expect(metrics.map((metric) => metric.name)).toContain('assay_monitoring_predictions_total');
  const { paths } = await openapi();
  expect(Object.keys(paths ?? {})).toEqual(
    expect.arrayContaining(['/v1/predictions', '/v1/predictions/{id}', '/v1/predictions/{id}/replay']),
  );
});
