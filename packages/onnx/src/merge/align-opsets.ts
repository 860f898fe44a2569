/** The operator sets and the format version that several models can share. */
import { DEFAULT_OPSETS } from '../graph-builder.ts';
import type { Node, OnnxModel } from '../model.ts';
import { quote } from '../quote.ts';
import { allNodes } from '../traversal.ts';
import { meansTheSame } from './operator-changes.ts';

/** A model and what it is called in messages. */
export interface NamedModel {
  readonly name: string;
  readonly model: OnnxModel;
}

export interface AlignedOpsets {
  /** Version by domain. */
  readonly opsets: Readonly<Record<string, number>>;
  readonly irVersion: number;
}

/** The nodes that join models are written as this version of ai.onnx has them. */
const MIN_OPSET = 13;
/** The format version that came with it. From 4 on an initializer need not be an input too. */
const MIN_IR_VERSION = 7;
/** What goes with DEFAULT_OPSETS. */
const DEFAULT_IR_VERSION = 10;

/**
 * Of each domain the highest version that a model asks for, if the nodes of the others mean the same in it.
 * @returns in words why they cannot share one, where they cannot
 */
export function alignOpsets(models: readonly NamedModel[]): AlignedOpsets | string {
  const opsets: Record<string, number> = {};
  for (const { model } of models) {
    for (const { domain, version } of model.opsets) opsets[domain] = Math.max(opsets[domain] ?? 0, version);
  }
  const usesOnnx = opsets[''] !== undefined;
  opsets[''] = usesOnnx ? Math.max(opsets[''] ?? 0, MIN_OPSET) : (DEFAULT_OPSETS[''] ?? MIN_OPSET);
  for (const { name, model } of models) {
    const changed = changedNode(model, opsets);
    if (changed !== undefined) return `${changed.problem} (${quote(name)})`;
  }
  return {
    opsets,
    irVersion: Math.max(usesOnnx ? MIN_IR_VERSION : DEFAULT_IR_VERSION, ...models.map(({ model }) => model.irVersion)),
  };
}

function changedNode(model: OnnxModel, opsets: Readonly<Record<string, number>>): { problem: string } | undefined {
  const own = new Map(model.opsets.map(({ domain, version }) => [domain, version]));
  for (const node of allNodes(model)) {
    const from = own.get(node.domain);
    const to = opsets[node.domain];
    if (from === undefined || to === undefined || meansTheSame(node.domain, node.opType, from, to)) continue;
    return { problem: `${nameOf(node)} of opset ${from} means another thing in opset ${to}, which a part needs` };
  }
  // The body of a function names the operator sets that it was written for itself.
  const raised = model.opsets.find(({ domain, version }) => opsets[domain] !== version);
  if (model.functions.length > 0 && raised !== undefined) {
    return {
      problem: `the functions of a part were written for opset ${raised.version} of ${domainName(raised.domain)}`,
    };
  }
  return undefined;
}

function nameOf({ domain, opType }: Node): string {
  return domain === '' ? opType : `${domain}.${opType}`;
}

function domainName(domain: string): string {
  return domain === '' ? 'ai.onnx' : domain;
}
