/** What the API server makes of the chart: every object of every preset, and the rights that it gives. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CHART, helm, kubectl } from './cluster.ts';
import { check, type Step } from './step.ts';

const NAMESPACE = 'assay-dry';
const JOBS_NAMESPACE = `${NAMESPACE}-jobs`;
const RELEASE = 'assay';
/** Needs kinds of the Prometheus operator, which this cluster has not. */
const WITHOUT = ['monitored.yaml'];

const templateOf = (preset: string, parameters: readonly string[] = []): Promise<string> =>
  helm([
    'template',
    RELEASE,
    CHART,
    '--namespace',
    NAMESPACE,
    '--values',
    join(CHART, 'presets', preset),
    ...parameters,
  ]);

/** Whether a ServiceAccount of the release may do it, as the API server judges. */
async function may(account: string, namespace: string, verb: string, resource: string): Promise<boolean> {
  const as = `system:serviceaccount:${NAMESPACE}:${RELEASE}-${account}`;
  const [kind = '', subresource] = resource.split('/');
  const what = subresource === undefined ? [kind] : [kind, `--subresource=${subresource}`];
  const answer = await kubectl(['auth', 'can-i', verb, ...what, '--as', as, '--namespace', namespace]).catch(
    (error: Error) => error.message, // `no` is exit 1
  );
  return /^yes$/m.test(answer);
}

export const admissionSteps: readonly Step[] = [
  {
    name: 'the API server accepts what every preset makes, field by field',
    async run({ tell }) {
      for (const namespace of [NAMESPACE, JOBS_NAMESPACE]) await kubectl(['create', 'namespace', namespace]);
      const presets = (await readdir(join(CHART, 'presets'))).filter((preset) => !WITHOUT.includes(preset));
      for (const preset of presets) {
        const input = await templateOf(preset);
        await kubectl(['apply', '--dry-run=server', '--validate=strict', '-f', '-'], { input });
      }
      tell('presets', presets.length);
    },
  },
  {
    name: 'training and batch may launch jobs in their namespace, and may read no secret anywhere; others may do nothing',
    async run() {
      const input = await templateOf('distributed.yaml', ['--show-only', 'templates/jobs.yaml']);
      await kubectl(['apply', '-f', '-'], { input });
      for (const account of ['training', 'batch']) {
        for (const [verb, resource] of [
          ['create', 'jobs.batch'],
          ['patch', 'jobs.batch'],
          ['list', 'pods'],
          ['get', 'pods/log'],
          ['create', 'secrets'],
        ] as const) {
          check(await may(account, JOBS_NAMESPACE, verb, resource), `${account} may not ${verb} ${resource}`);
          check(!(await may(account, NAMESPACE, verb, resource)), `${account} may ${verb} ${resource} of the platform`);
        }
        for (const namespace of [NAMESPACE, JOBS_NAMESPACE]) {
          check(!(await may(account, namespace, 'get', 'secrets')), `${account} may read secrets in ${namespace}`);
        }
      }
      for (const account of ['inference', 'registry', 'monitoring', 'job']) {
        check(!(await may(account, JOBS_NAMESPACE, 'list', 'pods')), `${account} may list pods`);
        check(!(await may(account, NAMESPACE, 'get', 'secrets')), `${account} may read secrets`);
      }
    },
  },
  {
    name: 'of what was only looked at nothing is left',
    async run() {
      await kubectl(['delete', 'namespace', NAMESPACE, JOBS_NAMESPACE, '--wait=true', '--timeout=120s'], {
        timeoutMs: 180_000,
      });
    },
  },
];
