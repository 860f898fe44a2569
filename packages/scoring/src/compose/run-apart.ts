/** A composition one step after another, each by a session of its own: what its one graph must equal. */
import type { OnnxModel } from '@assay/onnx';
import { createEncoder } from '../encoder.ts';
import { PackedInputBatch } from '../input-batch.ts';
import type { OutputBatch } from '../interfaces.ts';
import { type Layout, layoutOf } from '../layout.ts';
import { gatherOutputs, type OutputPiece, outputLayoutOf } from '../output-batch.ts';
import { type Feeds, inputTensor, openSession } from '../session.ts';
import { chainSteps, eachAlone } from './chain.ts';
import { featureInputs } from './graph-inputs.ts';
import type { Plan } from './plan.ts';

/** The outputs of these records. @throws AssayError as the steps do */
export async function runApart(
  plan: Plan,
  models: ReadonlyMap<string, OnnxModel>,
  records: readonly unknown[],
): Promise<OutputBatch> {
  const layout = layoutOfFeatures(plan, models);
  const encoder = createEncoder(layout);
  const onnx = chainSteps(plan, eachAlone(plan), models);
  const session = await openSession(onnx, { call: 'public', threads: 1, graphOptimization: 'all' });
  try {
    const outputs = outputLayoutOf(plan.signature, session.outputs);
    const pieces: OutputPiece[] = [];
    const rows = layout.oneRow ? 1 : records.length;
    for (let from = 0; from < records.length; from += rows) {
      const batch = new PackedInputBatch(encoder, rows);
      batch.appendRecords(records.slice(from, from + rows));
      pieces.push({ results: await session.run(feedsOf(layout, batch), outputs.names), rows, ranRows: rows });
    }
    return gatherOutputs(outputs, pieces);
  } finally {
    session.close();
  }
}

export function layoutOfFeatures(plan: Plan, models: ReadonlyMap<string, OnnxModel>): Layout {
  const inputs = [...featureInputs(plan, models)].map(([name, { type, tail, rows }]) => ({
    name,
    type,
    dims: [rows, ...tail],
  }));
  return layoutOf(plan.signature, inputs);
}

function feedsOf({ slots }: Layout, batch: PackedInputBatch): Feeds {
  return Object.fromEntries(
    slots.map(({ inputName, type, tail }, i) => [
      inputName,
      inputTensor(type, batch.arrays[i] ?? [], [batch.rows, ...tail]),
    ]),
  );
}
