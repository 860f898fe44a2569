/**
 * Counts a vitest JSON report: `count-tests.ts REPORT EXIT_STATUS`. Names what failed; its last line is
 * `passed failed skipped`. What a plain count would hide is a failure too: a missing or empty report, a file that could
 * not be collected, a non-zero exit without a failed test (an unhandled error), a skipped test that is not excused.
 */
import { readFileSync } from 'node:fs';

/** Only what needs an accelerator may be skipped; such tests say so in their name. */
const EXCUSED = /\bneeds an accelerator\b/;

interface Report {
  readonly success: boolean;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

export interface Counts {
  readonly passed: number;
  readonly skipped: number;
  readonly failures: readonly string[];
}

export function countTests(report: Report, exitStatus: number): Counts {
  let passed = 0;
  let skipped = 0;
  const failures: string[] = [];
  for (const file of report.testResults) {
    if (file.assertionResults.length === 0) failures.push(`${file.name}: no test was collected. ${file.message}`);
    for (const { status, fullName } of file.assertionResults) {
      if (status === 'passed') passed++;
      else if (status !== 'failed' && EXCUSED.test(fullName)) skipped++;
      else failures.push(`${file.name}: ${fullName} (${status})`);
    }
    if (file.status === 'failed' && file.assertionResults.every(({ status }) => status === 'passed')) {
      if (file.assertionResults.length > 0) failures.push(`${file.name}: failed outside its tests. ${file.message}`);
    }
  }
  if (passed + failures.length === 0) failures.push('the report holds no test');
  if (failures.length === 0 && (exitStatus !== 0 || !report.success)) {
    failures.push(
      `the runner failed outside the tests (exit status ${exitStatus}): see its output for unhandled errors`,
    );
  }
  return { passed, skipped, failures };
}

if (import.meta.main) {
  const [path = '', exitStatus = '1'] = process.argv.slice(2);
  let counts: Counts;
  try {
    counts = countTests(JSON.parse(readFileSync(path, 'utf8')), Number(exitStatus));
  } catch (error) {
    counts = { passed: 0, skipped: 0, failures: [`no report of the tests at ${path}: ${String(error)}`] };
  }
  for (const failure of counts.failures) console.log(`FAILED: ${failure}`);
  console.log(counts.passed, counts.failures.length, counts.skipped);
}
