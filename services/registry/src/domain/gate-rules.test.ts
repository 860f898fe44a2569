import type { Gates } from '@assay/contracts';
import { describe, expect, it } from 'vitest';
import { checkGates, GatesNotMet, isGuarded } from './gate-rules.ts';

describe('gates guard', () => {
  const to = (alias: string, ...endpoints: string[]) => ({ kind: 'alias', alias, endpoints }) as const;
  it('every alias and endpoint, where they name none', () => {
    expect(isGuarded({ approvals: 1 }, to('a'))).toBe(true);
    expect(isGuarded({ approvals: 1 }, { kind: 'endpoint', endpoint: 'e' })).toBe(true);
    expect(isGuarded({ approvals: 1 }, { kind: 'production' })).toBe(true);
  });

  it('nothing, where nothing is required', () => {
    expect(isGuarded({ aliases: ['a'] }, to('a'))).toBe(false);
  });

  it('an alias that they do not name, where an endpoint follows it that they guard', () => {
    const gates: Gates = { approvals: 1, aliases: ['champion'], endpoints: ['live'] };
    expect(isGuarded(gates, to('candidate', 'staging'))).toBe(false);
    expect(isGuarded(gates, to('candidate', 'staging', 'live'))).toBe(true);
    expect(isGuarded(gates, { kind: 'endpoint', endpoint: 'staging' })).toBe(false);
  });
});

describe('gates that are set', () => {
  it.each([
    [{ metrics: [{ metric: 'auc' }] }, 'gates.metrics[0]'],
    [{ metrics: [{ metric: 'auc', min: 2, max: 1 }] }, 'gates.metrics[0]'],
    [
      {
        metrics: [
          { metric: 'auc', min: 0 },
          { metric: 'auc', max: 1 },
        ],
      },
      'gates.metrics[1].metric',
    ],
    [{ approvals: 1, aliases: [], endpoints: [] }, 'gates.aliases'],
    [{ shadow: { rows: 1 }, endpoints: [] }, 'gates.shadow'],
  ] satisfies [Gates, string][])('are refused where they can never be met or hold nothing back: %j', (gates, place) => {
    expect(() => checkGates(gates, true)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', details: [expect.objectContaining({ place })] }),
    );
  });

  it('ask for no approvals where everyone is one principal', () => {
    expect(() => checkGates({ approvals: 1 }, false)).toThrow(expect.objectContaining({ code: 'FAILED_PRECONDITION' }));
    expect(() => checkGates({ approvals: 1 }, true)).not.toThrow();
    expect(() => checkGates({ checks: ['golden'] }, false)).not.toThrow();
  });
});

it('what holds a move back is told gate by gate', () => {
  const error = new GatesNotMet('champion of delay does not move to version 2', [
    { gate: 'approvals', passed: false, required: 'one', found: 'none', action: '1 more: assay approve delay 2' },
    { gate: 'checks.golden', passed: false, required: 'golden records', found: 'not known' },
  ]);
  expect(error.message).toContain('version 2: gates are not met: approvals, checks.golden');
  expect(error.details).toEqual([
    { place: 'gates.approvals', message: 'there is: none; to do: 1 more: assay approve delay 2', expected: 'one' },
    { place: 'gates.checks.golden', message: 'there is: not known', expected: 'golden records' },
  ]);
});
