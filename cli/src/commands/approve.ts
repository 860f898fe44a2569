/** `assay approve`: the word of the principal whose key it is, for a version of somebody else. */
import { createRegistryClient } from '@assay/client';
import { AssayError } from '@assay/contracts';
import type { Io } from '../io.ts';
import { json } from '../output.ts';
import { peerOf, type TargetOptions } from '../targets.ts';
import { suggestModel } from './models.ts';

export interface ApproveOptions extends TargetOptions {
  readonly comment?: string;
  readonly withdraw?: boolean;
}

export async function approve(io: Io, model: string, version: string, options: ApproveOptions): Promise<void> {
  const { comment, withdraw = false } = options;
  if (withdraw && comment !== undefined) {
    throw new AssayError('INVALID_ARGUMENT', '--comment: a withdrawal has none');
  }
  await using registry = createRegistryClient(await peerOf('registry', io, options));
  const suggest = (error: unknown) => suggestModel(registry, model, error, io.signal);
  if (withdraw) {
    await registry.withdrawApproval(model, version, { signal: io.signal }).catch(suggest);
    io.out(
      options.json ? json({ model, version, withdrawn: true }) : `${model} ${version} has your approval no more.\n`,
    );
    return;
  }
  const body = comment === undefined ? {} : { comment };
  const approval = await registry.approveVersion(model, version, body, { signal: io.signal }).catch(suggest);
  io.out(
    options.json
      ? json(approval)
      : `${approval.principal} approves version ${approval.version} of ${approval.modelName}.\n`,
  );
}
