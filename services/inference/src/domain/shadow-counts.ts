/** A shadow's answers beside those that callers got, summed up as they come. */
import type { ShadowCounts, ShadowOutput } from '@assay/contracts';
import type { OutputBatch, ScoredRows } from '@assay/scoring';

type OutputData = OutputBatch['outputs'][number]['data'];
type Sums = { -readonly [Key in keyof ShadowOutput]: ShadowOutput[Key] };

export class ShadowCounter {
  readonly #outputs = new Map<string, Sums>();
  #rows = 0;
  #failedRows = 0;
  #droppedRows = 0;
  #primaryRunMs = 0;
  #shadowRunMs = 0;

  failed(rows: number): void {
    this.#failedRows += rows;
  }

  dropped(rows: number): void {
    this.#droppedRows += rows;
  }

  /** The same rows, scored by both. */
  compared(primary: ScoredRows, shadow: ScoredRows): void {
    this.#rows += primary.rows;
    this.#primaryRunMs += shareOfRun(primary);
    this.#shadowRunMs += shareOfRun(shadow);
    for (const { name, data, dtype } of primary.outputs.outputs) {
      const other = shadow.outputs.outputs.find((output) => output.name === name);
      if (other === undefined) continue; // more than the contract promises
      const width = data.length / primary.outputs.rows;
      if (width !== other.data.length / shadow.outputs.rows) continue;
      const sums = this.#sumsOf(name);
      const decides = dtype !== 'float32' && dtype !== 'float64';
      for (let row = 0; row < primary.rows; row++) {
        const at = (primary.firstRow + row) * width;
        compareRow(sums, data, at, other.data, (shadow.firstRow + row) * width, width, decides);
      }
    }
  }

  counts(): ShadowCounts {
    return {
      rows: this.#rows,
      failedRows: this.#failedRows,
      droppedRows: this.#droppedRows,
      primaryRunMs: this.#primaryRunMs,
      shadowRunMs: this.#shadowRunMs,
      outputs: Array.from(this.#outputs.values(), (sums) => ({ ...sums })),
    };
  }

  #sumsOf(name: string): Sums {
    let sums = this.#outputs.get(name);
    if (sums === undefined) {
      sums = { name, values: 0, differingRows: 0, disagreeingRows: 0, sumAbsDifference: 0, maxAbsDifference: 0 };
      this.#outputs.set(name, sums);
    }
    return sums;
  }
}

/** What the rows took of a run that other requests shared. */
function shareOfRun({ inferenceMs, rows, batchRows }: ScoredRows): number {
  return inferenceMs * Math.min(1, rows / Math.max(1, batchRows));
}

/** @param decides whether a value is a decision (a label, a flag, a whole number) and not a measure */
function compareRow(
  sums: Sums,
  ours: OutputData,
  oursAt: number,
  theirs: OutputData,
  theirsAt: number,
  width: number,
  decides: boolean,
): void {
  let differs = false;
  for (let i = 0; i < width; i++) {
    const [a, b] = [ours[oursAt + i], theirs[theirsAt + i]];
    if (Object.is(a, b)) continue;
    differs = true;
    const difference = Math.abs(Number(a) - Number(b));
    if (typeof a === 'string' || !Number.isFinite(difference)) continue;
    sums.sumAbsDifference += difference;
    sums.maxAbsDifference = Math.max(sums.maxAbsDifference, difference);
  }
  sums.values += width;
  if (!differs) return;
  sums.differingRows++;
  if (decides || (width > 1 && largest(ours, oursAt, width) !== largest(theirs, theirsAt, width))) {
    sums.disagreeingRows++;
  }
}

/** The first place of the largest value. */
function largest(data: OutputData, at: number, width: number): number {
  let best = 0;
  for (let i = 1; i < width; i++) if (Number(data[at + i]) > Number(data[at + best])) best = i;
  return best;
}
