import { expect, test } from 'vitest';
import { childTraceparent, parseTraceparent } from './trace-context.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

test('a valid traceparent is read', () => {
  expect(parseTraceparent(`00-${TRACE}-${SPAN}-01`)).toEqual({ traceId: TRACE, spanId: SPAN, sampled: true });
  expect(parseTraceparent(`00-${TRACE}-${SPAN}-02`)?.sampled).toBe(false);
});

test('a later version may say more', () => {
  expect(parseTraceparent(`cc-${TRACE}-${SPAN}-01-what-comes`)).toMatchObject({ traceId: TRACE });
});

test.each([
  undefined,
  '',
  `ff-${TRACE}-${SPAN}-01`,
  `00-${TRACE}-${SPAN}-01-more`,
  `cc-${TRACE}-${SPAN}-01more`,
  `00-${'0'.repeat(32)}-${SPAN}-01`,
  `00-${TRACE}-${'0'.repeat(16)}-01`,
  `00-${TRACE.toUpperCase()}-${SPAN}-01`,
  `00-${TRACE}-${SPAN}-1`,
  `00-${TRACE.slice(1)}-${SPAN}-01`,
  ` 00-${TRACE}-${SPAN}-01`,
  `cc-${TRACE}-${SPAN}-01-${'x'.repeat(300)}`,
])('%j is no traceparent', (header) => {
  expect(parseTraceparent(header)).toBeUndefined();
});

test('a child is of the same trace and a span of its own', () => {
  const parent = parseTraceparent(`00-${TRACE}-${SPAN}-01`);
  const child = parseTraceparent(childTraceparent(parent));
  expect(child).toMatchObject({ traceId: TRACE, sampled: true });
  expect(child?.spanId).not.toBe(SPAN);
});

test('without a parent a trace begins that is not recorded', () => {
  const first = parseTraceparent(childTraceparent(undefined));
  const second = parseTraceparent(childTraceparent(undefined));
  expect(first?.sampled).toBe(false);
  expect(first?.traceId).not.toBe(second?.traceId);
});
