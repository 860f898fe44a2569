/** The end of the distributed installation. */
import { kubectl, list } from './cluster.ts';
import { JOBS_NAMESPACE, NAMESPACE, uninstall } from './installation.ts';
import { check, type Step, until } from './step.ts';

export const uninstallSteps: readonly Step[] = [
  {
    name: 'the distributed installation is uninstalled and leaves nothing but what was there before',
    async run() {
      await uninstall();
      const kinds =
        'pods,services,deployments,configmaps,secrets,serviceaccounts,networkpolicies,poddisruptionbudgets,horizontalpodautoscalers';
      await until('everything of the release is gone', 120_000, async () => {
        return (await list(kinds, NAMESPACE, 'app.kubernetes.io/name=assay')).length === 0;
      });
      await until('the namespace of jobs is gone', 120_000, async () => {
        const namespaces = await kubectl(['get', 'namespaces', '-o', 'name']);
        return !namespaces.split('\n').includes(`namespace/${JOBS_NAMESPACE}`);
      });
      const left = (await list('secrets', NAMESPACE)).map(({ metadata }) => metadata.name).sort();
      check(left.join() === 'assay-blobs,assay-database', `these are left: ${left.join()}`);
      await kubectl(['delete', 'namespace', NAMESPACE, '--wait=true', '--timeout=120s'], { timeoutMs: 150_000 });
    },
  },
];
