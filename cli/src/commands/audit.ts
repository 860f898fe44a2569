/** `assay audit`: the trail of governance writes, and whether its chain holds. */
import { type AuditTrailQuery, createRegistryClient } from '@assay/client';
import type { AuditVerification } from '@assay/contracts';
import { EXIT_CODES } from '@assay/runtime';
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
      ['SEQ', 'AT', 'PRINCIPAL', 'ACTION', 'RESOURCE', 'HASH'],
      page.items.map((entry) => [
        String(entry.sequence),
        instant(entry.at),
        entry.principal,
        entry.action,
        entry.resource,
        entry.hash.slice(0, 12),
      ]),
    ),
  );
  const last = page.items.at(-1);
  if (page.next !== undefined && last !== undefined) io.err(`There is more: assay audit --after ${last.sequence}\n`);
}

/** Exit code `refused` where the chain is broken. */
export async function verify(io: Io, options: TargetOptions): Promise<number> {
  await using registry = createRegistryClient(await peerOf('registry', io, options));
  return tell(io, await registry.verifyAudit({ signal: io.signal }), options);
}

export function tell(io: Io, found: AuditVerification, options: { readonly json?: boolean }): number {
  if (options.json) io.out(json(found));
  else if (found.valid) {
    const compared = found.checkpoints === undefined ? '' : `, ${found.checkpoints} signed checkpoints`;
    io.out(`The audit chain holds: ${found.entries} entries${compared}, head ${found.headHash}\n`);
  } else {
    const where = found.firstBadSequence === undefined ? '' : ` at entry ${found.firstBadSequence}`;
    io.err(`assay: the audit chain is broken${where}: ${found.reason ?? 'the registry gives no reason'}\n`);
  }
  return found.valid ? EXIT_CODES.ok.code : EXIT_CODES.refused.code;
}
