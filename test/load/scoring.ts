/** Scoring one flight over REST beside a bare Fastify echo of the same body, in turns, so that noise meets both alike. */
import { fileURLToPath } from 'node:url';
import { median, type Sample, sample, type Target } from './generator.ts';
import { residentMegabytes, startServer } from './processes.ts';

export const FLIGHT = { hour: 17, weekday: 5, distance: 802, origin: 'ORD', destination: 'BOS' };

const ROUNDS = 3;
const SECONDS = 2;
const CONNECTIONS = [1, 16, 64];

export async function benchScoring(inferenceUrl: string, pid: number, endpoint: string, record: object): Promise<void> {
  await using echo = await startServer(process.execPath, [fileURLToPath(new URL('./echo-server.ts', import.meta.url))]);
  const body = JSON.stringify({ records: [record] });
  const targets: readonly [Target, Target] = [
    { name: 'echo', server: echo, path: '/echo', body },
    { name: 'assay', server: { url: inferenceUrl, pid }, path: `/v1/endpoints/${endpoint}/score`, body },
  ];
  for (const target of targets) await sample(target, 16, 1); // the first seconds compile

  console.log('\nScoring one flight (named record, REST), beside a bare Fastify echo of the same body');
  console.log('connections   echo req/s  assay req/s  ratio   echo µs CPU  assay µs CPU   echo p99  assay p99');
  for (const connections of CONNECTIONS) {
    const samples: [Sample[], Sample[]] = [[], []];
    for (let round = 0; round < ROUNDS; round++) {
      for (const i of [0, 1] as const) samples[i].push(await sample(targets[i], connections, SECONDS));
    }
    const [ours, theirs] = [samples[1], samples[0]];
    const of = (from: Sample[], key: keyof Sample) => median(from.map((each) => each[key]));
    const ratio = median(ours.map((each, i) => each.requestsPerSecond / (theirs[i]?.requestsPerSecond ?? Number.NaN)));
    console.log(
      [
        String(connections).padStart(11),
        of(theirs, 'requestsPerSecond').toFixed(0).padStart(12),
        of(ours, 'requestsPerSecond').toFixed(0).padStart(12),
        ratio.toFixed(2).padStart(6),
        of(theirs, 'cpuMicrosecondsPerRequest').toFixed(1).padStart(13),
        of(ours, 'cpuMicrosecondsPerRequest').toFixed(1).padStart(13),
        `${of(theirs, 'p99Ms').toFixed(1)} ms`.padStart(11),
        `${of(ours, 'p99Ms').toFixed(1)} ms`.padStart(10),
      ].join(' '),
    );
  }
  console.log(
    `resident memory after the load: echo ${residentMegabytes(echo.pid).toFixed(0)} MB, assay (all services) ${residentMegabytes(pid).toFixed(0)} MB`,
  );
}
