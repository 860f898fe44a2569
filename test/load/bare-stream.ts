/** The baseline of stream scoring: the same client and guarantee, and nothing done with the records. */
import { type ExactlyOncePipeline, superviseExactlyOnce } from '@assay/kafka';

const { output, ...pipeline }: ExactlyOncePipeline & { output: string } = JSON.parse(process.argv[2] ?? '{}');
const stop = new AbortController();
process.on('SIGTERM', () => stop.abort());
await superviseExactlyOnce(
  { ...pipeline, outputs: [output] },
  async (batch) => batch.map(({ key, value, headers }) => ({ topic: output, key, value, headers })),
  stop.signal,
  { onAssigned: () => console.log('http://bare') },
);
