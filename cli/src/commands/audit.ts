/** `assay audit`: the trail of governance writes, and whether its chain holds. */
import { createRegistryClient } from '@assay/client';
import { EXIT_CODES } from '@assay/runtime';
import type { Io } from '../io.ts';
import { instant, json, table } from '../output.ts';
import { peerOf, type TargetOptions } from '../targets.ts';

export interface AuditOptions extends TargetOptions {
  readonly after?: number;
  readonly limit: number;
}

export async function audit(io: Io, options: AuditOptions): Promise<void> {
  await using registry = createRegistryClient(await peerOf('registry', io, options));
  const after = options.after === undefined ? {} : { after: options.after };
  const page = await registry.audit({ limit: options.limit, ...after }, { signal: io.signal });
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
  const found = await registry.verifyAudit({ signal: io.signal });
  if (options.json) io.out(json(found));
  else if (found.valid) io.out(`The audit chain holds: ${found.entries} entries, head ${found.headHash}\n`);
  else {
    const where = found.firstBadSequence === undefined ? '' : ` at entry ${found.firstBadSequence}`;
    io.err(`assay: the audit chain is broken${where}: ${found.reason ?? 'the registry gives no reason'}\n`);
  }
  return found.valid ? EXIT_CODES.ok.code : EXIT_CODES.refused.code;
}
