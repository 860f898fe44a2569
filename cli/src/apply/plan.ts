/** What would have to be done for the registry to be what the files say, in the order in which it is done. */
import { AssayError, type ErrorDetail } from '@assay/contracts';
import { type Document, refuseProblems } from './documents.ts';
import type { Kind, Step } from './kind.ts';
import type { Session } from './session.ts';

export interface Plan {
  readonly steps: readonly Step[];
  /** How many documents say what is there already. */
  readonly unchanged: number;
}

/**
 * Only reads. What a document names is made before it, and deleted after it: writes go by the order of `kinds`, then
 * deletions the other way.
 * @throws AssayError INVALID_ARGUMENT with every place that can be seen to fail
 */
export async function makePlan(
  documents: readonly Document[],
  kinds: readonly Kind[],
  session: Session,
): Promise<Plan> {
  const steps: Step[] = [];
  const problems: ErrorDetail[] = [];
  for (const document of inOrder(documents, kinds)) {
    try {
      const step = await document.kind.plan(document, session);
      if (step !== undefined) steps.push(step);
    } catch (error) {
      if (!(error instanceof AssayError) || error.code !== 'INVALID_ARGUMENT') throw error;
      const { details, message } = error;
      problems.push(...(details.length > 0 ? details : [{ place: document.place, message }]));
    }
  }
  refuseProblems(problems);
  const deletes = (step: Step): boolean => step.action === 'delete';
  return {
    steps: [...steps.filter((step) => !deletes(step)), ...steps.filter(deletes).reverse()],
    unchanged: documents.length - steps.length,
  };
}

function inOrder(documents: readonly Document[], kinds: readonly Kind[]): Document[] {
  return kinds.flatMap((kind) => documents.filter((document) => document.kind === kind));
}
