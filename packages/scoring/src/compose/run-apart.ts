/** A composition one step after another, each by a session of its own: what its one graph must equal. */
import { AssayError } from '@assay/contracts';
import type { OnnxModel } from '@assay/onnx';
import { createEncoder } from '../encoder.ts';
import { PackedInputBatch } from '../input-batch.ts';
import type { OutputBatch } from '../interfaces.ts';
import { type Layout, layoutOf } from '../layout.ts';
import { gatherOutputs, type OutputPiece, outputLayoutOf } from '../output-batch.ts';
import { type Feeds, inputTensor, openSession, type Session } from '../session.ts';
import { featureInputs } from './graph-inputs.ts';
import { type Extent, mergeSteps, nameOfValue } from './merge.ts';
import type { Plan } from './plan.ts';

/** The outputs of these records. @throws AssayError as the steps do */
export async function runApart(
  plan: Plan,
  models: ReadonlyMap<string, OnnxModel>,
  records: readonly unknown[],
): Promise<OutputBatch> {
  const layout = layoutOfFeatures(plan, models);
  const encoder = createEncoder(layout);
  const sessions: Session[] = [];
  try {
    for (const extent of extentsOf(plan)) {
      const merged = mergeSteps(plan, extent, models);
      if ('reason' in merged) throw new AssayError('UNPROCESSABLE_MODEL', merged.reason);
      sessions.push(await openSession(merged.onnx, { call: 'public', threads: 1, graphOptimization: 'all' }));
    }
    const pieces: OutputPiece[] = [];
    const rows = layout.oneRow ? 1 : records.length;
    for (let from = 0; from < records.length; from += rows) {
      const batch = new PackedInputBatch(encoder, rows);
      batch.appendRecords(records.slice(from, from + rows));
      pieces.push({ results: await runAll(sessions, feedsOf(layout, batch)), rows, ranRows: rows });
    }
    const last = sessions.at(-1);
    return gatherOutputs(outputLayoutOf(plan.signature, last?.outputs ?? []), pieces);
  } finally {
    for (const session of sessions) session.close();
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

/** Each step for itself; then the outputs, which are taken from what the steps gave. */
function extentsOf({ steps, outputs }: Plan): Extent[] {
  const alone = steps.map(
    (step): Extent => ({
      steps: [step],
      outputs: step.gives.map((value) => ({
        name: nameOfValue(value),
        source: { kind: 'value', value, position: undefined },
      })),
    }),
  );
  return [...alone, { steps: [], outputs }];
}

function feedsOf({ slots }: Layout, batch: PackedInputBatch): Feeds {
  return Object.fromEntries(
    slots.map(({ inputName, type, tail }, i) => [
      inputName,
      inputTensor(type, batch.arrays[i] ?? [], [batch.rows, ...tail]),
    ]),
  );
}

async function runAll(sessions: readonly Session[], features: Feeds): Promise<Feeds> {
  const values: Feeds = { ...features };
  let given: Feeds = {};
  for (const session of sessions) {
    const feeds = Object.fromEntries(
      session.inputs.flatMap(({ name }) => {
        const value = values[name];
        return value === undefined ? [] : [[name, value]];
      }),
    );
    given = await session.run(
      feeds,
      session.outputs.map(({ name }) => name),
    );
    Object.assign(values, given);
  }
  return given;
}
