/** The OpenAPI document against the service that it describes, by schemathesis (https://schemathesis.readthedocs.io). */
import { join } from 'node:path';
import { schemathesisFindings } from '@assay/http/testing';
import { expect, test } from 'vitest';
import { describe } from './index.ts';
import { serveStatic, temporaryFolder } from './inference-under-test.ts';
import { identityModel, versionModel } from './models-under-test.ts';

/** More finds more, and takes longer: `SCHEMATHESIS_EXAMPLES=2000` by hand. */
const EXAMPLES = Number(process.env.SCHEMATHESIS_EXAMPLES ?? 5);
/**
 * The service of this test is open, as on a laptop, and the document speaks of keys, so nothing is asked about those; that
 * they are asked for is in access.real.test.ts.
 */
const NOT_ASKED = ['ignored_auth', 'missing_required_header', 'negative_data_rejection'];

test('schemathesis finds no answer that the document does not describe, and no 500', async () => {
  await using folder = await temporaryFolder();
  const dir = folder.path;
  const [identity] = [await identityModel(dir), await versionModel(dir, 7)];
  await using inference = await serveStatic(dir, [
    { name: 'identity', path: identity.dir },
    { name: 'seven', path: join(dir, 'version-7') },
  ]);
  expect(await (await fetch(`${inference.url}/openapi.json`)).json()).toEqual(await describe().openapi());
  const asked = { url: inference.url, examples: EXAMPLES, excludedChecks: NOT_ASKED };
  expect(await schemathesisFindings(asked)).toBeUndefined();
});
