import { expect, test, vi } from 'vitest';
import { idTimeMs, newId } from './ids.ts';

test('an id has its prefix and 26 lower case characters', () => {
  expect(newId('mdl')).toMatch(/^mdl_[0-7][0-9a-hjkmnp-tv-z]{25}$/);
});

test('ids of one thread grow and never repeat, within a millisecond and when the clock runs back', () => {
  const ids = Array.from({ length: 20_000 }, () => newId('x'));
  const clock = vi.spyOn(Date, 'now').mockReturnValue(Date.now() - 60_000);
  try {
    ids.push(...Array.from({ length: 1000 }, () => newId('x')));
  } finally {
    clock.mockRestore();
  }
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.toSorted()).toEqual(ids);
});

test('an id tells when it was made', () => {
  const before = Date.now();
  const made = idTimeMs(newId('job'));
  expect(made).toBeGreaterThanOrEqual(before);
  expect(made).toBeLessThanOrEqual(Date.now() + 1);
  expect(idTimeMs('job_nonsense')).toBeUndefined();
});

test('two times far apart sort as the times do', () => {
  const clock = vi.spyOn(Date, 'now');
  try {
    clock.mockReturnValue(2 ** 41);
    const early = newId('x');
    clock.mockReturnValue(2 ** 47);
    const late = newId('x');
    expect(idTimeMs(late)).toBe(2 ** 47);
    expect(early < late).toBe(true);
  } finally {
    clock.mockRestore();
  }
});

test('ids grow while the clock stands, over every carry of their random part', () => {
  const clock = vi.spyOn(Date, 'now').mockReturnValue(2 ** 47 + 1);
  try {
    let last = newId('x');
    for (let i = 0; i < 2 ** 20 + 1000; i++) {
      const next = newId('x');
      if (next <= last) throw new Error(`${next} follows ${last}`);
      last = next;
    }
  } finally {
    clock.mockRestore();
  }
});
