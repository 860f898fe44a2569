/** The services with keys against the OpenAPI documents that they serve. */
import { describe as describeBatch } from '@assay/batch';
import { schemathesisFindings } from '@assay/http/testing';
import { describe as describeInference } from '@assay/inference';
import { describe as describeMonitoring } from '@assay/monitoring';
import { describe as describeRegistry } from '@assay/registry';
import { describe as describeTraining } from '@assay/training';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startUp, type UpUnderTest } from './up-under-test.ts';

/** The long form, `make soak`: more examples, and each keyword of each schema of the registry too, some 4,000 requests. */
const LONG_FORM_EXAMPLES = process.env.SCHEMATHESIS_EXAMPLES;
const examples = Number(LONG_FORM_EXAMPLES ?? 2);
const hasRulesBeyondSchema = true;
const isLong = LONG_FORM_EXAMPLES !== undefined;

let running: UpUnderTest;
let key: string;

beforeAll(async () => {
  running = await startUp();
  key = await running.key('admin');
});
afterAll(() => running?.[Symbol.asyncDispose]());

test.each([
  ['registry', describeRegistry()],
  ['inference', describeInference()],
  ['training', describeTraining()],
  ['batch', describeBatch()],
  ['monitoring', describeMonitoring()],
] as const)(
  '%s serves the document of its description, which tools/ holds to its rules',
  async (service, described) => {
    const answer = await fetch(`${running.url[service]}/openapi.json`);
    expect(await answer.json()).toEqual(await described.openapi());
  },
);

const name = (service: string) =>
  `${service}: every answer is described, none is a 500, and what the document forbids is refused`;
const LIMIT_MS = isLong ? 1_800_000 : 120_000;

test.each(['training', 'batch', 'monitoring'] as const)(
  name('%s'),
  async (service) => {
    expect(
      await schemathesisFindings({ url: running.url[service], key, examples, hasRulesBeyondSchema }),
    ).toBeUndefined();
  },
  LIMIT_MS,
);

test(
  name('registry'),
  async () => {
    const phases = isLong ? undefined : (['fuzzing', 'stateful'] as const);
    const url = running.url.registry;
    expect(
      await schemathesisFindings({ url, key, examples, hasRulesBeyondSchema, ...(phases && { phases }) }),
    ).toBeUndefined();
  },
  LIMIT_MS,
);
