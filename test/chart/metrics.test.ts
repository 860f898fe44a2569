import { describe as describeBatch } from '@assay/batch';
import { accessMetrics, httpMetrics, tlsMetrics } from '@assay/http';
import { describe as describeInference } from '@assay/inference';
import { describe as describeRegistry } from '@assay/registry';
import { describeMetrics } from '@assay/runtime';
import { describe as describeTraining } from '@assay/training';
import { expect, test } from 'vitest';
import { at, find, listAt, render } from './chart.ts';

const rows = [
  ...describeMetrics(httpMetrics),
  ...describeMetrics(accessMetrics),
  ...describeMetrics(tlsMetrics),
  ...[describeRegistry(), describeInference(), describeTraining(), describeBatch()].flatMap(({ metrics }) => metrics),
];
/** As Prometheus has them: a histogram is three series. */
const known = new Set(
  rows.flatMap(({ name, type }) =>
    type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
  ),
);

function metricsIn(expression: string): string[] {
  return [...expression.matchAll(/\bassay_[a-z_]+\b/g)].map(([name]) => name);
}

test('alerts and dashboard ask for metrics that the services have', async () => {
  const objects = await render({ preset: 'monitored' });
  const rules = listAt(find(objects, 'PrometheusRule', 'assay'), 'spec', 'groups', 0, 'rules');
  const alerts = rules.map((rule) => String(at(rule, 'expr')));
  const dashboard: unknown = JSON.parse(find(objects, 'ConfigMap', 'assay-dashboard').data?.['assay.json'] ?? '');
  const panels = listAt(dashboard, 'panels').flatMap((panel) =>
    listAt(panel, 'targets').map((one) => String(at(one, 'expr'))),
  );
  expect([rules.length, panels.length]).toEqual([expect.any(Number), expect.any(Number)]);
  for (const expressions of [alerts, panels]) {
    const asked = expressions.flatMap(metricsIn);
    expect(asked.length).toBeGreaterThan(5);
    expect(asked.filter((name) => !known.has(name))).toEqual([]);
  }
});

test('alerts watch scoring latency, errors, lag and failing jobs of this release alone', async () => {
  const rule = find(await render({ preset: 'monitored' }), 'PrometheusRule', 'assay');
  const rules = listAt(rule, 'spec', 'groups', 0, 'rules');
  expect(rules.map((one) => at(one, 'alert'))).toEqual(
    expect.arrayContaining([
      'AssayScoringIsSlow',
      'AssayScoringFails',
      'AssayEventsLag',
      'AssayStreamLags',
      'AssayTrainingFails',
      'AssayBatchFails',
    ]),
  );
  for (const one of rules) {
    const expression = String(at(one, 'expr'));
    const selectors = [...expression.matchAll(/\{([^}]*)\}/g)].map(([, selector]) => selector);
    expect(selectors.length, expression).toBeGreaterThan(0);
    for (const selector of selectors) expect(selector).toContain('namespace="scoring",job=~"assay(-.+)?"');
    expect(at(one, 'annotations', 'summary')).toEqual(expect.stringMatching(/\S/));
    expect(at(one, 'annotations', 'description')).toEqual(expect.stringMatching(/\S/));
  }
});

test('every port that serves metrics is scraped', async () => {
  const monitor = async (preset: string): Promise<unknown[]> => {
    const objects = await render({ preset, set: ['metrics.serviceMonitor.enabled=true'] });
    return listAt(find(objects, 'ServiceMonitor', 'assay'), 'spec', 'endpoints').map((one) => at(one, 'port'));
  };
  expect(await monitor('standalone')).toEqual(['registry', 'inference', 'training', 'batch', 'monitoring']);
  expect(await monitor('distributed')).toEqual(['http']);
  const text = JSON.stringify(await render({ preset: 'monitored' }));
  expect(text).toContain('"authorization":{"type":"Bearer","credentials":{"name":"assay-keys","key":"metrics"}}');
});
