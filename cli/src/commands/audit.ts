/** `assay audit`: the trail of governance writes. */
import { type AuditTrailQuery, createRegistryClient } from '@assay/client';
import type { Io } from '../io.ts';
import { instant, json, table } from '../output.ts';
import { peerOf, type TargetOptions } from '../targets.ts';

export type AuditOptions = TargetOptions & AuditTrailQuery;

export async function audit(io: Io, options: AuditOptions): Promise<void> {
  await using registry = createRegistryClient(await peerOf('registry', io, options));
  const { after, until, limit, principal, action, resource, resourceType, from, to } = options;
  const query = { after, until, limit, principal, action, resource, resourceType, from, to };
  const page = await registry.audit(query, { signal: io.signal });
  if (options.json) return io.out(json(page));
  io.out(
    table(
      ['SEQ', 'AT', 'PRINCIPAL', 'ACTION', 'RESOURCE', 'COMMIT', 'HASH'],
      page.items.map((entry) => [
        String(entry.sequence),
        instant(entry.at),
        entry.principal,
        entry.action,
        entry.resource,
        String(entry.details?.commit ?? '-').slice(0, 12),
        entry.hash.slice(0, 12),
      ]),
    ),
  );
  const last = page.items.at(-1);
  if (page.next !== undefined && last !== undefined) io.err(`There is more: assay audit --after ${last.sequence}\n`);
}
