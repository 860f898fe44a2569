/** `assay replay`: a logged prediction again, bit for bit. */
import { createMonitoringClient, encodeJson } from '@assay/client';
import { EXIT_CODES } from '@assay/runtime';
import type { Io } from '../io.ts';
import { json } from '../output.ts';
import { peerOf, type TargetOptions } from '../targets.ts';

/** Exit code `refused` where the bits differ. */
export async function replay(io: Io, id: string, options: TargetOptions): Promise<number> {
  await using monitoring = createMonitoringClient(await peerOf('monitoring', io, options));
  const replayed = await monitoring.replay(id, { signal: io.signal });
  const { same, sameExecutionClass, executionClass, batchInvariant, differences } = replayed;
  if (options.json) io.out(json(replayed));
  else {
    const classes = `${executionClass.logged} then, ${executionClass.replayed} now`;
    if (same) io.out(`The same bits: ${encodeJson(replayed.replayed)}\n`);
    else {
      io.err(`assay: other bits in ${differences.join(', ')}\n`);
      io.err(`  logged    ${encodeJson(replayed.logged)}\n  replayed  ${encodeJson(replayed.replayed)}\n`);
    }
    if (!sameExecutionClass) io.err(`The execution class is another (${classes}): the same bits are not promised.\n`);
    if (!batchInvariant) io.err('The model is not batch-invariant: the same bits are not promised.\n');
  }
  return same ? EXIT_CODES.ok.code : EXIT_CODES.refused.code;
}
