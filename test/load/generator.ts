/** The load: autocannon with keep-alive connections, from the benchmark's own process. */
import autocannon from 'autocannon';
import { cpuMicroseconds, type Server } from './processes.ts';

export interface Target {
  readonly name: string;
  readonly server: Pick<Server, 'url' | 'pid'>;
  readonly path: string;
  readonly body: string;
}

export interface Sample {
  readonly requestsPerSecond: number;
  readonly cpuMicrosecondsPerRequest: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Any answer but a 2xx ends the benchmark: a fast error is no result. */
export async function sample(target: Target, connections: number, seconds: number): Promise<Sample> {
  const before = cpuMicroseconds(target.server.pid);
  const result = await autocannon({
    url: target.server.url + target.path,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: target.body,
    connections,
    duration: seconds,
  });
  const cpu = cpuMicroseconds(target.server.pid) - before;
  if (result.non2xx > 0 || result.errors > 0) {
    throw new Error(`${target.name}: ${result.non2xx} answers were not 2xx, ${result.errors} connections failed`);
  }
  return {
    requestsPerSecond: result.requests.total / result.duration,
    cpuMicrosecondsPerRequest: cpu / result.requests.total,
    p50Ms: result.latency.p50,
    p99Ms: result.latency.p99,
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}
