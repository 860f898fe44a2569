import { describe as describeCli } from '@assay/cli';
import { ERROR_CODES } from '@assay/contracts';
import { describe, expect, test } from 'vitest';
import { cliPage, configPage, errorsPage } from './reference-pages.ts';

describe('the reference', () => {
  test('has every error code with its status', () => {
    const page = errorsPage();
    for (const code of ERROR_CODES) expect(page).toContain(`| \`${code}\` |`);
    expect(page).toMatch(/\| `OVERLOADED` \| 503 \| 14 \| yes \|/);
  });

  test('has every command with its options, and the exit codes', () => {
    const page = cliPage(describeCli());
    for (const command of [
      'up',
      'serve',
      'score',
      'train',
      'jobs',
      'models',
      'register',
      'alias',
      'audit',
      'audit verify',
    ]) {
      expect(page).toContain(`\n## assay ${command}\n`);
    }
    expect(page).toContain('`--no-example`');
    expect(page).toMatch(/## Exit codes\n\n\| Code \| Meaning \|/);
  });

  test('cannot be broken by what a description says', () => {
    const row = { section: 's', key: 'k', environment: 'ASSAY_S_K', type: 'string', required: true, secret: false };
    const page = configPage([{ name: 's', config: [{ ...row, description: 'a | b\n  <c>' }] }]);
    expect(page.split('\n').find((line) => line.includes('ASSAY_S_K'))).toBe(
      '| `s.k` | `ASSAY_S_K` | string | required | a \\| b &lt;c> |',
    );
  });
});
