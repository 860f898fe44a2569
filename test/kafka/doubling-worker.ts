/**
 * A stream worker of the tests: `doubling-worker.ts {"kafka":…,"input":…,"output":…,"deadLetters":…,"group":…}`. Doubles
 * the number of each record; what is no number is a dead letter. Prints a line for each change of its state.
 */
import { type InputRecord, type OutputRecord, superviseExactlyOnce } from '@assay/kafka';

const o = JSON.parse(process.argv[2] ?? '{}');
const stop = new AbortController();
process.on('SIGTERM', () => stop.abort());

function double({ key, value, headers, partition, offset }: InputRecord): OutputRecord {
  const source = `${partition}:${offset}`;
  const number = Number(JSON.parse(value?.toString() ?? '"tombstone"').n);
  if (!Number.isFinite(number)) return { topic: o.deadLetters, key, value, headers: { ...headers, source } };
  return {
    topic: o.output,
    key,
    value: Buffer.from(JSON.stringify({ n: number, doubled: 2 * number })),
    headers: { ...headers, source },
  };
}

await superviseExactlyOnce(
  { ...o, kafka: { ...o.kafka, clientId: 'doubling' }, outputs: [o.output, o.deadLetters] },
  async (batch) => {
    if (o.transformMs) await new Promise((resolve) => setTimeout(resolve, o.transformMs));
    return batch.map(double);
  },
  stop.signal,
  {
    onState: (state) => console.log(JSON.stringify(state)),
    onCommitted: ({ records }) => console.log(JSON.stringify({ committed: records })),
  },
);
