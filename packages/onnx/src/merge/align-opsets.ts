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

/**
 * Of each domain the highest version that a model asks for, if the nodes of the others mean the same in it.
 * @param minOpset what of ai.onnx the nodes need that join the models
 * @returns in words why they cannot share one, where they cannot
 */
export function alignOpsets(models: readonly NamedModel[], minOpset: number): AlignedOpsets | string {
  const opsets: Record<string, number> = {};
  for (const { model } of models) {
    for (const { domain, version } of model.opsets) opsets[domain] = Math.max(opsets[domain] ?? 0, version);
  }
  const own = opsets[''];
  const opset = own === undefined ? (DEFAULT_OPSETS[''] ?? minOpset) : Math.max(own, minOpset);
  opsets[''] = opset;
  for (const { name, model } of models) {
    const changed = changedNode(model, opsets);
    if (changed !== undefined) return `${changed.problem} (${quote(name)})`;
  }
  return { opsets, irVersion: Math.max(irVersionOf(opset), ...models.map(({ model }) => model.irVersion)) };
}

/** The format version that came with an operator set. From 4 on an initializer need not be an input too. */
function irVersionOf(opset: number): number {
  if (opset >= 21) return 10;
  if (opset >= 19) return 9;
  return opset >= 15 ? 8 : 7;
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
