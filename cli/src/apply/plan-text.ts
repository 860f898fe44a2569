/** A plan as a person reads it: each change as a unified diff of its document. */
import { writeYaml } from '@assay/runtime';
import type { Step } from './kind.ts';
import { lineDiff } from './line-diff.ts';
import type { Plan } from './plan.ts';

const SIGNS = { make: '+', change: '~', delete: '-' } as const;
/** Unchanged lines that are shown around a change. */
const CONTEXT = 3;

export function planText({ steps, unchanged }: Plan): string {
  const counts = (['make', 'change', 'delete'] as const).map(
    (action) => `${steps.filter((step) => step.action === action).length} to ${action}`,
  );
  const summary = `${counts.join(', ')}, ${unchanged} as ${unchanged === 1 ? 'it is' : 'they are'} already`;
  return `${steps.map((step) => `${stepText(step)}\n`).join('')}${summary}\n`;
}

export function stepTitle({ action, kind, name }: Step): string {
  return `${SIGNS[action]} ${kind.name} ${name}`;
}

function stepText(step: Step): string {
  const lines = lineDiff(yamlLines(step.before), yamlLines(step.after), CONTEXT);
  // The sign stands first, so that what colours a diff colours this.
  const shown = lines.map((line) => (line === '…' ? '     …\n' : `${line.slice(0, 1)}    ${line.slice(1)}\n`));
  return `${stepTitle(step)}  (${step.place})\n${shown.join('')}`;
}

function yamlLines(spec: unknown): string[] {
  if (typeof spec !== 'object' || spec === null || Object.keys(spec).length === 0) return [];
  // By key, so that the same spec has the same lines, whoever wrote it.
  return writeYaml(spec, { sorted: true }).trimEnd().split('\n');
}

/** The plan for programs. */
export function planJson({ steps, unchanged }: Plan) {
  return {
    changes: steps.map(({ action, kind, name, place, before = null, after = null }) => ({
      ...{ action, kind: kind.name, name, place, before, after },
    })),
    unchanged,
  };
}
