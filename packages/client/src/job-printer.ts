/** The progress of a job for a person: one line that moves on a terminal, a line now and then elsewhere. */
import { type Job, type JobProgress, WAITING_STAGE } from '@assay/contracts';

/** What is shown of a job, of whatever kind. */
export type ShownJob = Pick<Job, 'state' | 'progress'>;

export interface JobPrinter {
  /** Shows the job as it is now. */
  show(job: ShownJob): void;
  /** Leaves the cursor on a line of its own; call it before anything else is printed. */
  end(): void;
}

const BAR_CELLS = 24;
/** Of a terminal that does not tell how wide it is. */
const FALLBACK_COLUMNS = 80;
/** Where lines cannot be rewritten, one for each stage and each so many percent of it. */
const PLAIN_STEP_PERCENT = 25;
const MAX_METRICS = 3;

/**
 * @param write gets text as it is to be printed
 * @param terminal whether a line can be rewritten, and how wide it may be
 */
export function createJobPrinter(write: (text: string) => void, terminal?: { readonly columns: number }): JobPrinter {
  let stage: string | undefined;
  let printedPercent = 0;
  let printedReason: string | undefined;
  let isLineOpen = false;

  const end = (): void => {
    if (isLineOpen) write('\n');
    isLineOpen = false;
  };

  function showOnTerminal(job: ShownJob): void {
    const next = stageOf(job);
    if (next === undefined) return;
    if (stage !== undefined && stage !== next) end();
    stage = next;
    const percent = job.progress?.percent ?? 0;
    const filled = Math.round((percent / 100) * BAR_CELLS);
    const bar = `${'█'.repeat(filled)}${'░'.repeat(BAR_CELLS - filled)}`;
    const line = `  ${stage.padEnd(10)} ${bar} ${percentText(percent)}${details(job)}`;
    write(`\r\x1b[2K${line.slice(0, (terminal?.columns || FALLBACK_COLUMNS) - 1)}`);
    isLineOpen = true;
  }

  function showPlain(job: ShownJob): void {
    const next = stageOf(job);
    if (next === undefined) return;
    const percent = job.progress?.percent ?? 0;
    const reason = job.state === 'starting' ? job.progress?.message : undefined;
    const isNewStage = stage !== next || printedReason !== reason;
    if (!isNewStage && percent < printedPercent + PLAIN_STEP_PERCENT) return;
    printedReason = reason;
    stage = next;
    printedPercent = isNewStage ? percent : percent - (percent % PLAIN_STEP_PERCENT);
    write(`  ${stage.padEnd(10)} ${percentText(percent)}${details(job)}\n`);
  }

  return { show: terminal === undefined ? showPlain : showOnTerminal, end };
}

/** What to show of the job now; undefined where there is nothing new: it has said that it is done. */
function stageOf({ state, progress }: ShownJob): string | undefined {
  if (state === 'succeeded') return undefined;
  if (progress !== null && isTold(state, progress)) return progress.stage;
  return state === 'running' ? 'starting' : state;
}

/** Whether progress is of now: while a job starts, only what it waits for is; the rest was of an attempt before. */
function isTold(state: Job['state'], progress: JobProgress): boolean {
  return state === 'running' || (state === 'starting' && progress.stage === WAITING_STAGE);
}

function percentText(percent: number): string {
  return `${Math.floor(percent)} %`.padStart(5);
}

function details({ progress, state }: ShownJob): string {
  if (progress === null || !isTold(state, progress)) return '';
  const metrics = Object.entries(progress.metrics ?? {})
    .slice(0, MAX_METRICS)
    .map(([name, value]) => `${name} ${Number(value.toPrecision(4))}`);
  // Control characters in a message would move the cursor.
  const message = progress.message?.replaceAll(/\p{Cc}+/gu, ' ');
  const parts = [...metrics, ...(message === undefined ? [] : [message])];
  return parts.length === 0 ? '' : `  ${parts.join('  ')}`;
}
