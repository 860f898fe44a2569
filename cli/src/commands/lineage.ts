/** `assay lineage`, `assay datasets lineage`: what was made from what, and where it serves. */
import { createRegistryClient, type RegistryClient } from '@assay/client';
import type {
  DatasetLineage,
  FedVersion,
  LineageDataset,
  LineageInput,
  LineageOrigin,
  LineageVersion,
  VersionLineage,
} from '@assay/contracts';
import type { Io } from '../io.ts';
import { instant, json } from '../output.ts';
import { peerOf, type TargetOptions } from '../targets.ts';
import { type Tree, treeText } from '../tree.ts';
import { findVersion } from './datasets.ts';
import { suggestModel } from './models.ts';

/** A dataset that fed more versions is looked at by the API. */
const MAX_PAGES = 20;
const CUT = 'more is known than is shown here';

export async function lineage(io: Io, model: string, version: string, options: TargetOptions): Promise<void> {
  await using registry = createRegistryClient(await peerOf('registry', io, options));
  const found = await registry
    .getVersionLineage(model, version, io)
    .catch((error: unknown) => suggestModel(registry, model, error, io.signal));
  io.out(options.json ? json(found) : treeText(versionTree(found)));
}

export async function datasetLineage(io: Io, which: string, options: TargetOptions): Promise<void> {
  await using registry = createRegistryClient(await peerOf('registry', io, options));
  const { datasetName, version } = await findVersion(registry, which, io.signal);
  const found = await wholeLineage(registry, datasetName, version, io.signal);
  io.out(options.json ? json(found) : treeText(datasetTree(found)));
}

async function wholeLineage(
  registry: RegistryClient,
  name: string,
  version: number,
  signal: AbortSignal,
): Promise<DatasetLineage> {
  const first = await registry.getDatasetLineage(name, version, { limit: 1000 }, { signal });
  const fed = [...first.fed];
  let { next } = first;
  for (let page = 1; page < MAX_PAGES && next !== undefined; page += 1) {
    const more = await registry.getDatasetLineage(name, version, { limit: 1000, after: next }, { signal });
    fed.push(...more.fed);
    next = more.next;
  }
  return { ...first, fed, truncated: first.truncated || next !== undefined };
}

export function versionTree(found: VersionLineage): Tree {
  const { origin, inputs, parents, children, aliases, endpoints, truncated, unread } = found;
  const datasets = ancestry(found.datasets);
  const now = [
    ...aliases.filter(isOpen).map(({ alias, ...use }) => ({ text: `alias ${alias}, ${since(use)}` })),
    ...endpoints
      .filter(isOpen)
      .map(({ endpoint, weight, ...use }) => ({ text: `endpoint ${endpoint}, ${percent(weight)}, ${since(use)}` })),
  ];
  const before = [
    ...aliases.filter(hasEnded).map(({ alias, ...use }) => ({ text: `alias ${alias}, ${since(use)}` })),
    ...endpoints
      .filter(hasEnded)
      .map(({ endpoint, weight, ...use }) => ({ text: `endpoint ${endpoint}, ${percent(weight)}, ${since(use)}` })),
  ];
  return {
    text: `${versionText(found.version)}, registered ${instant(found.version.createdAt)} by ${found.version.createdBy}`,
    children: [
      ...branch('made by', originTrees(origin)),
      ...branch(
        'made from',
        inputs.flatMap((input) => inputTrees(input, datasets)),
      ),
      ...branch(
        'made from versions',
        parents.flatMap(({ digest, versions }) =>
          versions.length === 0
            ? [{ text: `${digest}: no version here has this digest` }]
            : versions.map((version) => ({ text: versionText(version) })),
        ),
      ),
      ...branch(
        'versions made from it',
        children.map((version) => ({ text: versionText(version) })),
      ),
      { text: now.length === 0 ? 'serves nowhere' : 'serves', children: now },
      ...branch('served before', before),
      ...(truncated ? [{ text: CUT }] : []),
      ...(unread ? [{ text: 'its package is still to be read: ask again for what it was made from' }] : []),
    ],
  };
}

export function datasetTree({ dataset, ancestors, descendants, fed, truncated, unread }: DatasetLineage): Tree {
  const fedBy = Map.groupBy(fed, (one) => one.dataset);
  const models = (id: string): Tree[] => (fedBy.get(id) ?? []).map((one) => ({ text: fedText(one) }));
  const onward = follow(
    descendants,
    (id) => descendants.filter(({ parents }) => parents.includes(id)).map((node) => node.id),
    models,
  );
  const back = ancestry(ancestors);
  return {
    text: datasetText(dataset),
    children: [
      ...branch(
        'made from',
        dataset.parents.map((id) => back(id)),
      ),
      ...branch('fed', models(dataset.id)),
      ...branch(
        'made from it',
        descendants.filter(({ parents }) => parents.includes(dataset.id)).map(({ id }) => onward(id)),
      ),
      ...(truncated ? [{ text: CUT }] : []),
      ...(unread ? [{ text: 'packages of before are still being read: ask again for all models' }] : []),
    ],
  };
}

function branch(text: string, children: readonly Tree[]): Tree[] {
  return children.length === 0 ? [] : [{ text, children }];
}

/** The tree of a dataset version and what it was made from. */
function ancestry(datasets: readonly LineageDataset[]): (id: string) => Tree {
  const byId = new Map(datasets.map((dataset) => [dataset.id, dataset]));
  return follow(datasets, (id) => byId.get(id)?.parents ?? []);
}

/** What was shown with its branches once is only named when it comes again. */
function follow(
  datasets: readonly LineageDataset[],
  next: (id: string) => readonly string[],
  leaves: (id: string) => readonly Tree[] = () => [],
): (id: string) => Tree {
  const byId = new Map(datasets.map((dataset) => [dataset.id, dataset]));
  const shown = new Set<string>();
  return function treeOf(id): Tree {
    const dataset = byId.get(id);
    if (dataset === undefined) return { text: `${id}: not followed so far` };
    const ids = next(id);
    if (shown.has(id)) return { text: `${dataset.name}@${dataset.version}${ids.length > 0 ? ' (see above)' : ''}` };
    shown.add(id);
    return { text: datasetText(dataset), children: [...leaves(id), ...ids.map(treeOf)] };
  };
}

function originTrees({
  producer,
  jobId,
  specSha256,
  specSource,
  run,
  code,
  seed,
  libraries,
  source,
  licence,
}: LineageOrigin): Tree[] {
  const codeFacts = [
    code.version === undefined ? undefined : `version ${code.version}`,
    code.commit === undefined ? undefined : `commit ${code.commit}`,
    code.branch === undefined ? undefined : `branch ${code.branch}`,
    code.repository,
    code.entryPoint,
  ];
  const lines = [
    jobId === undefined ? undefined : `job ${jobId}`,
    specText(specSource, specSha256),
    run === undefined
      ? undefined
      : `run ${run.name} (${run.id}) of experiment ${run.experimentName}, ${run.status.toLowerCase()}, by ${run.userId || '-'}`,
    codeFacts.some((fact) => fact !== undefined)
      ? `code ${codeFacts.filter((fact) => fact !== undefined).join(', ')}`
      : undefined,
    seed === undefined ? undefined : `seed ${seed}`,
    Object.keys(libraries).length === 0
      ? undefined
      : `libraries ${Object.entries(libraries)
          .map(([name, version]) => `${name} ${version}`)
          .join(', ')}`,
    producer === undefined ? undefined : `packaged by ${producer.name} ${producer.version}`,
    source === undefined ? undefined : `source ${source}`,
    licence === undefined ? undefined : `licence ${licence}`,
  ];
  return lines.flatMap((text) => (text === undefined ? [] : [{ text }]));
}

function specText(source: LineageOrigin['specSource'], sha256: string | undefined): string | undefined {
  if (source === undefined) return sha256 === undefined ? undefined : `spec ${sha256}`;
  return `spec ${source.name}, revision ${source.revision}${sha256 === undefined ? '' : ` (${sha256})`}`;
}

function inputTrees({ kind, digest, name, context, datasets }: LineageInput, treeOf: (id: string) => Tree): Tree[] {
  const what = `${kind} ${name === undefined ? '' : `${name} `}${digest}${context === undefined ? '' : ` (${context})`}`;
  if (datasets.length === 0) return [{ text: `${what}: no registered dataset is known by this digest` }];
  const trees = datasets.map((id) => treeOf(id));
  return kind === 'file' || name !== undefined ? [{ text: what, children: trees }] : trees;
}

function datasetText({ name, version, layer, digest, owner, licence, personalData }: LineageDataset): string {
  const facts = [
    layer,
    digest.slice(0, 12),
    ...(owner === '' ? [] : [`owner ${owner}`]),
    ...(licence === '' ? [] : [`licence ${licence}`]),
    ...(personalData.length === 0 ? [] : [`personal data: ${personalData.join(', ')}`]),
  ];
  return `${name}@${version} (${facts.join('; ')})`;
}

function versionText({ modelName, version, digest, isDeleted }: LineageVersion): string {
  return `${modelName} ${version} (${digest.slice(0, 12)})${isDeleted ? ', deleted' : ''}`;
}

function fedText({ version, context }: FedVersion): string {
  return `model ${versionText(version)}${context === undefined ? '' : `, ${context}`}`;
}

interface Since {
  readonly revision: number;
  readonly from: number;
  readonly until?: number;
  readonly by: string;
}

const isOpen = ({ until }: { readonly until?: number }): boolean => until === undefined;
const hasEnded = (use: { readonly until?: number }): boolean => !isOpen(use);

function since({ revision, from, until, by }: Since): string {
  const end = until === undefined ? '' : ` until ${instant(until)}`;
  return `revision ${revision}, since ${instant(from)}${end} by ${by}`;
}

function percent(weight: number): string {
  return `${weight / 100} %`;
}
