import { describe, expect, it } from 'vitest';
import { countTests } from './count-tests.ts';

const file = (statuses: string[], status = 'passed') => ({
  name: 'a.test.ts',
  status,
  message: '',
  assertionResults: statuses.map((each, i) => ({ status: each, fullName: `test ${i}` })),
});

describe('counting a test report', () => {
  it('adds up what passed and names what failed', () => {
    const counts = countTests({ success: false, testResults: [file(['passed', 'failed']), file(['passed'])] }, 1);
    expect(counts).toEqual({ passed: 2, skipped: 0, failures: ['a.test.ts: test 1 (failed)'] });
  });

  it('takes a file without tests, a skipped test and an empty report as failures', () => {
    expect(countTests({ success: true, testResults: [file([])] }, 0).failures).toHaveLength(1);
    expect(countTests({ success: true, testResults: [file(['passed', 'skipped'])] }, 0).failures).toHaveLength(1);
    expect(countTests({ success: true, testResults: [] }, 0).failures).toEqual(['the report holds no test']);
  });

  it('takes an error outside the tests as a failure', () => {
    expect(countTests({ success: true, testResults: [file(['passed'])] }, 1).failures).toHaveLength(1);
    expect(countTests({ success: false, testResults: [file(['passed'], 'failed')] }, 0).failures).toHaveLength(1);
  });

  it('excuses only what needs an accelerator', () => {
    const skipped = {
      ...file(['passed']),
      assertionResults: [{ status: 'skipped', fullName: 'CUDA (needs an accelerator)' }],
    };
    expect(countTests({ success: true, testResults: [file(['passed']), skipped] }, 0)).toEqual({
      passed: 1,
      skipped: 1,
      failures: [],
    });
  });
});
