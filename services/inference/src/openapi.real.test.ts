/** The OpenAPI document against the service that it describes, by schemathesis (https://schemathesis.readthedocs.io). */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { type InferenceUnderTest, serveStatic, temporaryFolder } from './inference-under-test.ts';
import { identityModel, versionModel } from './models-under-test.ts';

const PACKAGES = fileURLToPath(new URL('../../../.cache/python-inference-clients', import.meta.url));
/** More finds more, and takes longer: `SCHEMATHESIS_EXAMPLES=2000` by hand. */
const EXAMPLES = process.env.SCHEMATHESIS_EXAMPLES ?? '5';
/**
 * The service of this test is open, as on a laptop, and the document speaks of keys, so nothing is asked about those; that
 * they are asked for is in access.real.test.ts.
 */
const NOT_ASKED = ['ignored_auth', 'missing_required_header', 'negative_data_rejection'];

/** What schemathesis found; undefined: nothing. */
async function findings(inference: InferenceUnderTest, dir: string): Promise<string | undefined> {
  const args = ['-m', 'schemathesis.cli', 'run', `${inference.url}/openapi.json`, '--no-color', '--seed', '1'];
  args.push('--max-examples', EXAMPLES, '--exclude-checks', NOT_ASKED.join(','));
  const env = { PATH: process.env.PATH ?? '', HOME: dir, PYTHONPATH: PACKAGES };
  try {
    await promisify(execFile)('python3', args, { cwd: dir, env, maxBuffer: 1 << 26 });
    return undefined;
  } catch (error) {
    return (error as { stdout?: string }).stdout ?? String(error); // of a command that ended with another code than 0
  }
}

test('schemathesis finds no answer that the document does not describe, and no 500', async () => {
  await using folder = await temporaryFolder();
  const dir = folder.path;
  const [identity] = [await identityModel(dir), await versionModel(dir, 7)];
  await using inference = await serveStatic(dir, [
    { name: 'identity', path: identity.dir },
    { name: 'seven', path: join(dir, 'version-7') },
  ]);
  expect(await findings(inference, dir)).toBeUndefined();
});
