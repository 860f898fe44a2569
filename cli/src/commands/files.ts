/** `assay diff`, `assay apply`, `assay export`: a platform as files. */
import { createRegistryClient } from '@assay/client';
import { AssayError, nearest } from '@assay/contracts';
import { checkCommit, commitOf } from '../apply/commit.ts';
import { readDocuments } from '../apply/documents.ts';
import { execute } from '../apply/execute.ts';
import { exportFiles } from '../apply/export-files.ts';
import type { Kind } from '../apply/kind.ts';
import { KINDS } from '../apply/kinds/index.ts';
import { makePlan } from '../apply/plan.ts';
import { planJson, planText, stepTitle } from '../apply/plan-text.ts';
import { openSession } from '../apply/session.ts';
import type { Io } from '../io.ts';
import { json } from '../output.ts';
import { peerOf, type TargetOptions } from '../targets.ts';
import { DIFF_EXIT_CODES } from './files-program.ts';

export interface FilesOptions extends TargetOptions {
  readonly files: string;
}

/** Gives the exit code. */
export async function diff(io: Io, options: FilesOptions): Promise<number> {
  const documents = await readDocuments(io.cwd, options.files, KINDS);
  await using registry = createRegistryClient(await peerOf('registry', io, options));
  const plan = await makePlan(documents, KINDS, openSession(registry, io.signal));
  io.out(options.json ? json(planJson(plan)) : planText(plan));
  return plan.steps.length === 0 ? DIFF_EXIT_CODES.same : DIFF_EXIT_CODES.changes;
}

export interface ApplyOptions extends FilesOptions {
  readonly commit?: string;
  readonly dryRun?: boolean;
}

export async function apply(io: Io, options: ApplyOptions): Promise<void> {
  const documents = await readDocuments(io.cwd, options.files, KINDS);
  const commit = options.commit === undefined ? await commitOf(io, options.files) : checkCommit(options.commit);
  await using registry = createRegistryClient({ ...(await peerOf('registry', io, options)), commit });
  const plan = await makePlan(documents, KINDS, openSession(registry, io.signal));
  if (!options.json) io.out(planText(plan));
  if (options.dryRun) {
    if (options.json) io.out(json(planJson(plan)));
    return;
  }
  const applied: object[] = [];
  try {
    await execute(plan.steps, io.signal, (step, note) => {
      applied.push({
        action: step.action,
        kind: step.kind.name,
        name: step.name,
        ...(note === undefined ? {} : { note }),
      });
      if (!options.json) io.out(`done: ${stepTitle(step)}${note === undefined ? '' : ` (${note})`}\n`);
    });
  } finally {
    if (options.json) io.out(json({ ...planJson(plan), applied, commit: commit ?? null }));
  }
}

export interface ExportOptions extends FilesOptions {
  readonly kinds?: readonly string[];
}

export async function exportTo(io: Io, options: ExportOptions): Promise<void> {
  const kinds = options.kinds?.map(kindOf) ?? KINDS;
  await using registry = createRegistryClient(await peerOf('registry', io, options));
  const counts = await exportFiles(io.cwd, options.files, kinds, openSession(registry, io.signal));
  const found = [...counts].map(([{ folder }, count]) => [folder, count] as const);
  if (options.json) io.out(json(Object.fromEntries(found)));
  else io.out(`Written to ${options.files}: ${found.map(([folder, count]) => `${count} ${folder}`).join(', ')}\n`);
}

/** @throws AssayError INVALID_ARGUMENT with the nearest kind */
function kindOf(text: string): Kind {
  const kind = KINDS.find(({ name }) => name === text);
  if (kind !== undefined) return kind;
  const names = KINDS.map(({ name }) => name);
  const suggestion = nearest(text, names);
  const hint = suggestion === undefined ? `expected ${names.join(', ')}` : `did you mean "${suggestion}"?`;
  throw new AssayError('INVALID_ARGUMENT', `--kinds: there is no kind "${text}"; ${hint}`);
}
