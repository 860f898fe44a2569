/**
 * The baselines of stream scoring: the same guarantee, and nothing done with the records. `asItComes`: with kafkajs as it is
 * published, which keeps the parts that it was loaded with; else with the client as Assay uses it.
 */
import { type ExactlyOncePipeline, superviseExactlyOnce } from '@assay/kafka';

interface BareOptions extends Omit<ExactlyOncePipeline, 'outputs'> {
  readonly output: string;
  readonly asItComes: boolean;
}

const { output, asItComes, ...pipeline }: BareOptions = JSON.parse(process.argv[2] ?? '{}');
if (asItComes) await import('kafkajs');
const stop = new AbortController();
process.on('SIGTERM', () => stop.abort());
await superviseExactlyOnce(
  { ...pipeline, outputs: [output] },
  async (batch) => batch.map(({ key, value, headers }) => ({ topic: output, key, value, headers })),
  stop.signal,
  { onAssigned: () => console.log('http://bare') },
);
