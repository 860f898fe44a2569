/**
 * Keeps what the API server said of a launch, for the unit tests of what that means (packages/jobs/src/fixtures). Only
 * when ASSAY_RECORD_STATUSES is set: `ASSAY_RECORD_STATUSES=1 tools/node node_modules/vitest/vitest.mjs run --config
 * test/kubernetes/vitest.config.ts`.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { kubectl, ROOT } from '../cluster/cluster.ts';

const FILE = join(ROOT, 'packages', 'jobs', 'src', 'fixtures', 'recorded-statuses.json');

/** What the launcher reads of an object (packages/jobs/src/kubernetes/objects.ts), and the Job's and pod's whole status. */
const KEPT: ReadonlySet<string> = new Set(
  'metadata name uid creationTimestamp deletionTimestamp annotations spec suspend nodeName containers image resources limits status type reason message lastTimestamp eventTime'.split(
    ' ',
  ),
);
const KEPT_WHOLE: ReadonlySet<string> = new Set(['annotations', 'limits', 'status']);

interface Item {
  readonly metadata: { readonly name: string; readonly annotations?: Readonly<Record<string, string>> };
  readonly involvedObject?: { readonly name?: string };
}

export async function record(namespace: string, name: string, id: string): Promise<void> {
  if (process.env.ASSAY_RECORD_STATUSES === undefined) return;
  const all = async (kind: string): Promise<readonly Item[]> => {
    const text = await kubectl(['--namespace', namespace, 'get', kind, '--output', 'json']);
    return (JSON.parse(text) as { items: Item[] }).items; // kubectl's own form of a list
  };
  const isOf = ({ metadata }: Item): boolean => metadata.annotations?.['assay.dev/launch'] === id;
  const [job] = (await all('jobs')).filter(isOf);
  const pods = (await all('pods')).filter(isOf);
  const names = [job, ...pods].map((item) => item?.metadata.name);
  const events = (await all('events')).filter(({ involvedObject }) => names.includes(involvedObject?.name ?? ''));
  const recorded: Record<string, unknown> = JSON.parse(await readFile(FILE, 'utf8').catch(() => '{}'));
  recorded[name] = prune({ job, pods, events: events.filter((event) => 'type' in event && event.type === 'Warning') });
  await writeFile(FILE, `${JSON.stringify(recorded, undefined, 1)}\n`);
}

function prune(recorded: { readonly job: unknown; readonly pods: unknown; readonly events: unknown }): unknown {
  return { job: kept(recorded.job), pods: kept(recorded.pods), events: kept(recorded.events) };
}

function kept(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(kept);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => KEPT.has(key))
      .map(([key, each]) => [key, KEPT_WHOLE.has(key) ? each : kept(each)]),
  );
}
