/** Mode standalone: one pod and one volume, from installation to a clean end. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CHART, helm, kubectl, list, secret, serviceUrl } from './cluster.ts';
import { startLoad } from './scoring-load.ts';
import { check, needed, type Step, type StepContext, until } from './step.ts';

const NAMESPACE = 'assay-one';
const RELEASE = 'assay';
const MODEL = 'assay-helm-test'; // what `helm test` registers
const POD = 'assay-0';

interface Golden {
  readonly golden: { readonly records: readonly unknown[]; readonly outputs: readonly unknown[] };
}

function install(context: StepContext, set: readonly string[]): Promise<string> {
  return helm(
    [
      'upgrade',
      '--install',
      RELEASE,
      CHART,
      '--namespace',
      NAMESPACE,
      '--create-namespace',
      '--wait',
      '--timeout=5m',
      '--set',
      `image.registry=localhost,image.tag=${needed(context, 'tag')}`,
      '--set',
      'standalone.resources.requests.cpu=100m,standalone.storage.size=1Gi,standalone.storage.whenDeleted=Delete',
      ...set.flatMap((one) => ['--set', one]),
    ],
    { timeoutMs: 6 * 60_000 },
  );
}

const golden = async (): Promise<Golden['golden']> => {
  const text = await readFile(join(CHART, 'files', 'helm-test', 'assay.json'), 'utf8');
  return (JSON.parse(text) as Golden).golden; // a test of the chart holds its form
};

async function scoring(): Promise<{ url: string; key: string; body: string; expected: string }> {
  const { records } = await golden();
  const url = `${await serviceUrl(NAMESPACE, RELEASE, 8102)}/v1/endpoints/${MODEL}/score`;
  const key = await secret(NAMESPACE, `${RELEASE}-keys`, 'admin');
  const body = JSON.stringify({ records });
  const response = await fetch(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body,
    signal: AbortSignal.timeout(10_000),
  });
  const text = await response.text();
  check(response.ok, `scoring answers ${response.status}: ${text}`);
  return { url, key, body, expected: outputsOf(text) };
}

/** The outputs alone, as text: equal texts are equal bits. */
function outputsOf(answer: string): string {
  const { predictions } = JSON.parse(answer) as { predictions: { outputs: unknown }[] }; // a ScoreResponse
  return JSON.stringify(predictions.map(({ outputs }) => outputs));
}

export const standaloneSteps: readonly Step[] = [
  {
    name: 'standalone is installed, under PodSecurity restricted, and becomes ready',
    async run(context) {
      await kubectl(['create', 'namespace', NAMESPACE]);
      await kubectl(['label', 'namespace', NAMESPACE, 'pod-security.kubernetes.io/enforce=restricted']);
      await install(context, []);
      const [pod] = await list('pods', NAMESPACE, 'app.kubernetes.io/component=standalone');
      check(pod?.metadata.name === POD, `the pod is ${pod?.metadata.name}`);
      context.made.pod = pod.metadata.uid;
    },
  },
  {
    name: 'helm test registers a model and scores it, and does so again',
    async run() {
      for (const _ of [1, 2]) await helm(['test', RELEASE, '--namespace', NAMESPACE, '--timeout=3m']);
    },
  },
  {
    name: 'a call without a key is refused',
    async run() {
      const { url, body } = await scoring();
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
        signal: AbortSignal.timeout(10_000),
      });
      check(response.status === 401, `it was answered ${response.status}`);
    },
  },
  {
    name: 'an upgrade under load keeps the keys and what was registered, and answers nothing wrong',
    async run(context) {
      const before = await scoring();
      const load = startLoad({
        ...before,
        clients: 8,
        pauseMs: 20,
        judge: (answer) => (outputsOf(answer) === before.expected ? undefined : 'other outputs'),
      });
      try {
        await install(context, ['config.inference.maxBatchRows=32']);
        await until('scoring after the upgrade', 60_000, () =>
          scoring().then(
            () => true,
            () => false,
          ),
        );
        const after = await scoring();
        check(after.key === before.key, 'the upgrade made other keys');
        check(after.expected === before.expected, 'the outputs changed');
      } finally {
        const report = await load.stop();
        context.tell('answered', report.answered);
        context.tell('failed while the one pod was replaced', JSON.stringify(report.failed));
        check(report.wrong === 0, `${report.wrong} answers were wrong`);
        check(report.answered > 0, 'nothing was answered');
      }
      const [pod] = await list('pods', NAMESPACE, 'app.kubernetes.io/component=standalone');
      check(pod !== undefined && pod.metadata.uid !== needed(context, 'pod'), 'the pod was not replaced');
    },
  },
  {
    name: 'the pod stops by itself within its grace period',
    async run({ tell }) {
      const beganMs = performance.now();
      await kubectl(['-n', NAMESPACE, 'delete', 'pod', POD, '--wait=true', '--timeout=60s']);
      const seconds = (performance.now() - beganMs) / 1000;
      tell('seconds to stop', seconds.toFixed(1));
      check(seconds < 35, 'it was killed at the end of its grace period');
      await kubectl(['-n', NAMESPACE, 'rollout', 'status', `statefulset/${RELEASE}`, '--timeout=120s']);
      await scoring();
    },
  },
  {
    name: 'wrong values are refused before anything changes',
    async run(context) {
      const failed = await install(context, ['inference.replicas=3']).then(
        () => '',
        (error: Error) => error.message,
      );
      check(/read in mode distributed only/.test(failed), `helm said: ${failed}`);
      await scoring();
    },
  },
  {
    name: 'standalone is uninstalled and leaves nothing',
    async run() {
      await helm(['uninstall', RELEASE, '--namespace', NAMESPACE, '--wait', '--timeout=2m']);
      const kinds =
        'pods,services,statefulsets,configmaps,secrets,serviceaccounts,networkpolicies,persistentvolumeclaims';
      await until('everything of the release is gone', 60_000, async () => {
        return (await list(kinds, NAMESPACE, 'app.kubernetes.io/name=assay')).length === 0;
      });
      await kubectl(['delete', 'namespace', NAMESPACE, '--wait=true', '--timeout=60s']);
    },
  },
];
