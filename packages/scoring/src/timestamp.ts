/** Instants: RFC 3339 text in records, int64 microseconds since 1970-01-01T00:00:00Z in graphs. */

/** RFC 3339, section 5.6. The fraction may have more digits than six only if they are zeros. */
const RFC_3339 =
  /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,6})0*)?(?:[Zz]|([+-])(\d{2}):(\d{2}))$/;

export const TIMESTAMP_EXPECTED = 'an RFC 3339 time with an offset, to the microsecond, such as "2026-01-31T12:00:00Z"';

/** Microseconds since 1970, or undefined if the text is no such time. A leap second (`:60`) has none. */
export function parseTimestamp(text: string): bigint | undefined {
  if (text.length > 64) return undefined;
  const match = RFC_3339.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second, fraction = '', sign, offsetHour = '0', offsetMinute = '0'] = match;
  const days = daysSinceEpoch(Number(year), Number(month), Number(day));
  if (days === undefined || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined;
  if (Number(offsetHour) > 23 || Number(offsetMinute) > 59) return undefined;
  const offset = (Number(offsetHour) * 60 + Number(offsetMinute)) * (sign === '-' ? -60 : 60);
  const seconds = days * 86_400 + Number(hour) * 3600 + Number(minute) * 60 + Number(second) - offset;
  return BigInt(seconds) * 1_000_000n + BigInt(Number(fraction.padEnd(6, '0')));
}

/** Of the proleptic Gregorian calendar; undefined for a day that it does not have. */
function daysSinceEpoch(year: number, month: number, day: number): number | undefined {
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day); // Date.UTC takes the years 0 to 99 for 1900 to 1999
  if (month < 1 || day < 1 || date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined;
  return date.getTime() / 86_400_000;
}

/** RFC 3339 in UTC, with six digits of a second if it is not whole; undefined outside the years 0 to 9999. */
export function formatTimestamp(microseconds: bigint): string | undefined {
  const fraction = ((microseconds % 1_000_000n) + 1_000_000n) % 1_000_000n;
  const date = new Date(Number((microseconds - fraction) / 1000n));
  const year = date.getUTCFullYear();
  if (Number.isNaN(year) || year < 0 || year > 9999) return undefined;
  const whole = date.toISOString().slice(0, 19);
  return fraction === 0n ? `${whole}Z` : `${whole}.${fraction.toString().padStart(6, '0')}Z`;
}
