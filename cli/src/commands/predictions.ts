/** `assay predictions`: what was asked and answered. */
import { createMonitoringClient, encodeJson } from '@assay/client';
import type { LoggedPrediction } from '@assay/contracts';
import type { Io } from '../io.ts';
import { facts, instant, json, table } from '../output.ts';
import { peerOf, type TargetOptions } from '../targets.ts';

export interface ListOptions extends TargetOptions {
  readonly endpoint?: string;
  readonly from?: string;
  readonly to?: string;
  readonly limit: number;
}

export async function get(io: Io, id: string, options: TargetOptions): Promise<void> {
  await using monitoring = createMonitoringClient(await peerOf('monitoring', io, options));
  const found = await monitoring.getPrediction(id, { signal: io.signal });
  io.out(options.json ? json(found) : description(found));
}

export async function list(io: Io, options: ListOptions): Promise<void> {
  await using monitoring = createMonitoringClient(await peerOf('monitoring', io, options));
  const { endpoint, from, to, limit } = options;
  const found = await monitoring.listPredictions({ endpoint, from, to, limit }, { signal: io.signal });
  if (options.json) return io.out(json(found));
  io.out(
    table(
      ['AT', 'ENDPOINT', 'MODEL', 'VERSION', 'DOOR', 'ID', 'OUTPUTS'],
      found.items.map((each) => [
        instant(each.at),
        each.endpointName,
        each.modelName,
        String(each.version),
        each.door,
        each.id,
        shortened(encodeJson(each.outputs)),
      ]),
    ),
  );
}

function description(found: LoggedPrediction): string {
  return facts([
    ['id', found.id],
    ['at', new Date(found.at).toISOString()],
    ['door', found.door],
    ['endpoint', `${found.endpointName} (${found.endpointId}), revision ${found.routingRevision}`],
    ['version', `${found.modelName} ${found.version} (${found.versionId})`],
    ['digest', found.digest],
    ['execution class', found.executionClass],
    ...(found.traceId === undefined ? [] : [['trace', found.traceId] as const]),
    ...(found.cached === true ? [['cached', 'yes: the outputs of an equal record'] as const] : []),
    ['record', encodeJson(found.record)],
    ['outputs', encodeJson(found.outputs)],
  ]);
}

function shortened(text: string): string {
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}
