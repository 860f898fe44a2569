/** A composition in several graphs, which are run one after another: for parts that cannot be one. */
import { AssayError, type Output } from '@assay/contracts';
import { type ChainLink, elementTypeOfDtype, type OnnxModel, readModel, writeChain } from '@assay/onnx';
import { featureInputs } from './graph-inputs.ts';
import { type Extent, mergeSteps, nameOfValue, whyApart } from './merge.ts';
import type { Plan, PlannedStep } from './plan.ts';

/** Each step for itself; then the outputs, which are taken from what the steps gave. */
export function eachAlone(plan: Plan): Extent[] {
  return extentsOf(plan, [...plan.steps.map((step) => [step]), []]);
}

/** As few graphs as the order of the steps allows: each takes in the next step unless it cannot. */
export function asFewAsCanBe(plan: Plan, models: ReadonlyMap<string, OnnxModel>): Extent[] {
  const groups: PlannedStep[][] = [];
  for (const step of plan.steps) {
    const last = groups.at(-1);
    if (last !== undefined && whyApart([...last, step], models) === undefined) last.push(step);
    else groups.push([step]);
  }
  return extentsOf(plan, groups);
}

/** The last group gives the outputs, each other one what later ones take. */
function extentsOf({ steps, outputs }: Plan, groups: readonly (readonly PlannedStep[])[]): Extent[] {
  return groups.map((group, i) => {
    if (i === groups.length - 1) return { steps: group, outputs };
    const later = groups.slice(i + 1).flat();
    const taken = [...later.flatMap((step) => step.sources), ...outputs.map(({ source }) => source)];
    const names = new Set(taken.flatMap((source) => (source.kind === 'value' ? nameOfValue(source.value) : [])));
    const given = steps.filter((step) => group.includes(step)).flatMap(({ gives }) => gives);
    return {
      steps: group,
      outputs: given
        .filter((value) => names.has(nameOfValue(value)))
        .map((value) => ({ name: nameOfValue(value), source: { kind: 'value', value, position: undefined } })),
    };
  });
}

/** @throws AssayError FAILED_PRECONDITION where a step alone cannot be a graph of today's, or all are too large */
export function chainSteps(plan: Plan, extents: readonly Extent[], models: ReadonlyMap<string, OnnxModel>): Uint8Array {
  const links = extents.map((extent): ChainLink => {
    const onnx = mergeSteps(plan, extent, models);
    return {
      onnx,
      takes: readModel(onnx).graph.inputs.map(({ name }) => name),
      gives: extent.outputs.map(({ name }) => name),
    };
  });
  const inputs = [...featureInputs(plan, models)].map(([name, { type, tail, rows }]) => ({
    name,
    elementType: type,
    dims: [rows, ...tail],
  }));
  const outputs = plan.signature.outputs.map(({ name, dtype, shape }: Output) => ({
    name,
    elementType: elementTypeOfDtype(dtype),
    dims: ['N', ...shape],
  }));
  const sizeBytes = links.reduce((sum, { onnx }) => sum + onnx.length, 0);
  if (sizeBytes > MAX_BYTES) {
    throw new AssayError(
      'FAILED_PRECONDITION',
      `the parts have ${sizeBytes} bytes together, and a file may have 2 GiB`,
    );
  }
  return writeChain(inputs, links, outputs);
}

/** Protobuf's limit of 2 GiB, less what the chain adds. */
const MAX_BYTES = 2 ** 31 - 2 ** 20;
