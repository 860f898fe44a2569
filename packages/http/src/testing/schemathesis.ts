/** A running service against the OpenAPI document that it serves, by schemathesis (https://schemathesis.readthedocs.io). */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const PACKAGES = fileURLToPath(new URL('../../../../.cache/python-inference-clients', import.meta.url));

/**
 * What may answer a request that its schema allows, where rules between the fields of a body, limits that are settings and
 * the state of what is named are beyond the schema. What is left to find: a valid request that is not found, not read or not
 * accepted (405, 406, 411, 415, 431). By itself schemathesis takes no 400, 412, 413, 422 or 429.
 */
const RULES_BEYOND_SCHEMA = `[checks.positive_data_acceptance]
expected-statuses = ["2xx", 400, 401, 403, 404, 409, 412, 413, 422, 429, "5xx"]
`;

export interface SchemathesisOptions {
  /** The service, whose document is at `/openapi.json`. */
  readonly url: string;
  /** An API key that may all. */
  readonly key?: string;
  /** For each operation; more finds more, and takes longer. */
  readonly examples: number;
  readonly excludedChecks?: readonly string[];
  /** Whether the service may refuse what its schemas allow, with the answers that say so. */
  readonly hasRulesBeyondSchema?: boolean;
  /** Default all: `coverage` goes through each keyword of each schema, `fuzzing` and `stateful` draw. */
  readonly phases?: readonly ('coverage' | 'fuzzing' | 'stateful')[];
}

/** What schemathesis found, as it says it; undefined: nothing. The examples are the same each time. */
export async function schemathesisFindings(options: SchemathesisOptions): Promise<string | undefined> {
  const { url, key, examples, excludedChecks = [], hasRulesBeyondSchema = false, phases } = options;
  const dir = await mkdtemp(join(tmpdir(), 'assay-schemathesis-'));
  const args = ['-m', 'schemathesis.cli', 'run', `${url}/openapi.json`, '--no-color', '--seed', '1', '--checks', 'all'];
  args.push('--max-examples', String(examples));
  if (key !== undefined) args.push('--header', `Authorization: Bearer ${key}`);
  if (excludedChecks.length > 0) args.push('--exclude-checks', excludedChecks.join(','));
  if (phases !== undefined) args.push('--phases', phases.join(','));
  const env = { PATH: process.env.PATH ?? '', HOME: dir, PYTHONPATH: PACKAGES };
  try {
    if (hasRulesBeyondSchema) await writeFile(join(dir, 'schemathesis.toml'), RULES_BEYOND_SCHEMA);
    await promisify(execFile)('python3', args, { cwd: dir, env, maxBuffer: 1 << 26 });
    return undefined;
  } catch (error) {
    const { stdout = '' } = error as { stdout?: string }; // of a command that ended with another code than 0
    return stdout === '' ? String(error) : stdout;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
