/** The OpenAPI documents of docs/reference and of running services, which are the same (services/standalone tests that). */
import { openApiViolations } from '@assay/http/testing';
import { expect, test } from 'vitest';
import { describedServices } from './described-services.ts';

/** The Open Inference Protocol has a form of errors of its own. */
const ERROR_FORMS = { errorForms: { '/v2': 'OipError' } };

test.each(describedServices().map(({ name, openapi }) => [name, openapi] as const))(
  '%s: its document is valid, and every operation says what it is, what it takes and how it fails',
  async (_name, openapi) => {
    expect(await openApiViolations(await openapi(), ERROR_FORMS)).toEqual([]);
  },
);
