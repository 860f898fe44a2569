/**
 * Puts the graph of a model into another one. What it names is put under a prefix of its own, so that models which name
 * things alike do not meet; its inputs are values that are there already.
 */
import { AssayError } from '@assay/contracts';
import type { GraphBuilder } from '../graph-builder.ts';
import type { OnnxModel } from '../model.ts';
import { bytesOf, type Field } from '../protobuf.ts';
import { quote } from '../quote.ts';
import { MODEL } from '../schema.ts';
import { renamedInitializer, renamedNode } from './rename-values.ts';

export interface Inclusion {
  /** Begins every name; distinct for each model in a graph. */
  readonly prefix: string;
  /** For each input without a default the value that feeds it. */
  readonly inputs: ReadonlyMap<string, string>;
}

/**
 * Adds the nodes of `model`. Values that its file describes between inputs and outputs are inferred anew, and its metadata
 * is left out. The operator sets of the graph must be such as alignOpsets gives for it.
 * @returns the name in the graph of each output
 */
export function includeModel(
  graph: GraphBuilder,
  model: OnnxModel,
  { prefix, inputs }: Inclusion,
): Map<string, string> {
  const defaults = new Set(model.graph.initializers.map(({ name }) => name));
  for (const { name } of model.graph.inputs) {
    if (inputs.has(name) === defaults.has(name)) {
      const problem = defaults.has(name) ? 'has a value of its own' : 'is fed by nothing';
      throw new AssayError('INVALID_ARGUMENT', `input ${quote(name)} of the model under ${quote(prefix)} ${problem}`);
    }
  }
  const value = (name: string): string => inputs.get(name) ?? `${prefix}${name}`;
  const rename = { value, node: (name: string) => (name === '' ? '' : `${prefix}${name}`) };
  const made = model.graph.nodes.flatMap(({ outputs }) => outputs.filter((output) => output !== ''));
  graph.adopt({
    nodes: model.graph.nodes.map((node) => renamedNode(node, rename)),
    initializers: model.graph.fields.flatMap((field) => renamedInitializer(field, rename) ?? []),
    names: [...defaults, ...made].map(value),
  });
  return new Map(model.graph.outputs.map(({ name }) => [name, value(name)]));
}

/**
 * The functions that several models bring, each once.
 * @returns in words why they cannot be in one model, where they cannot
 */
export function sharedFunctions(models: readonly OnnxModel[]): readonly Field[] | string {
  const shared = new Map<string, Field>();
  for (const model of models) {
    const fields = model.fields.filter(({ number }) => number === MODEL.functions);
    for (const [i, { domain, name }] of model.functions.entries()) {
      const field = fields[i];
      if (field === undefined) continue;
      const key = `${domain}\0${name}`;
      const other = shared.get(key);
      if (other !== undefined && Buffer.compare(bytesOf(other, name), bytesOf(field, name)) !== 0) {
        return `two parts bring a function ${quote(`${domain}.${name}`)}, and they differ`;
      }
      shared.set(key, field);
    }
  }
  return [...shared.values()];
}
