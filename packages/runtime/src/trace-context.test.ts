import { setTimeout } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import {
  childTrace,
  parseTraceparent,
  readTrace,
  type TraceContext,
  traceFieldsOf,
  traceOfEnvironment,
  traceVariables,
} from './trace-context.ts';
import { currentTrace, inTrace } from './trace-scope.ts';

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

describe('a carrier', () => {
  const traceparent = `00-${TRACE}-${SPAN}-01`;

  test('has a trace with its state', () => {
    const state = 'congo=t61rcWkgMzE,rojo@vendor=00f067aa0ba902b7 \t, ,a=b';
    expect(readTrace({ traceparent, tracestate: state })).toEqual({
      traceId: TRACE,
      spanId: SPAN,
      sampled: true,
      state,
    });
  });

  test.each([undefined, null, 7, ['a=1'], '', 'a=1\nb: 2', 'ä=1', `a=${'x'.repeat(511)}`])(
    '%j is no state',
    (tracestate) => {
      expect(readTrace({ traceparent, tracestate })).toEqual({ traceId: TRACE, spanId: SPAN, sampled: true });
    },
  );

  test('of Kafka has bytes', () => {
    const [bytes, state] = [traceparent, 'a=1'].map((text) => Buffer.from(text));
    expect(readTrace({ traceparent: bytes, tracestate: state })).toMatchObject({ traceId: TRACE, state: 'a=1' });
    expect(readTrace({ traceparent: Buffer.alloc(0), tracestate: state })).toBeUndefined();
  });

  test('has a state of 512 characters', () => {
    const tracestate = `a=${'x'.repeat(510)}`;
    expect(readTrace({ traceparent, tracestate })?.state).toBe(tracestate);
  });

  test.each([undefined, null, 7, [traceparent], `${traceparent}, ${traceparent}`, 'x'])(
    'with %j for a traceparent has none, whatever its state',
    (malformed) => {
      expect(readTrace({ traceparent: malformed, tracestate: 'a=1' })).toBeUndefined();
    },
  );

  test('gives what it has and nothing else', () => {
    const [event, bare] = [
      { traceparent, tracestate: 'a=1', id: 'evt_1' },
      { traceparent, id: 'evt_1' },
    ];
    expect([traceFieldsOf(event), traceFieldsOf(bare), traceFieldsOf({ tracestate: 'a=1' })]).toEqual([
      { traceparent, tracestate: 'a=1' },
      { traceparent },
      {},
    ]);
  });
});

test('a child is of the same trace and state, and a span of its own', () => {
  const child = childTrace(readTrace({ traceparent: `00-${TRACE}-${SPAN}-01`, tracestate: 'a=1,b=2' }));
  expect(readTrace(child)).toMatchObject({ traceId: TRACE, sampled: true, state: 'a=1,b=2' });
  expect(readTrace(child)?.spanId).not.toBe(SPAN);
  expect(childTrace(parseTraceparent(`00-${TRACE}-${SPAN}-00`))).toEqual({
    traceparent: expect.stringMatching(new RegExp(`^00-${TRACE}-(?!${SPAN})[0-9a-f]{16}-00$`)),
  });
});

test('without a parent a trace begins that is not recorded', () => {
  const [first, second] = [readTrace(childTrace(undefined)), readTrace(childTrace(undefined))];
  expect(first?.sampled).toBe(false);
  expect(first?.traceId).not.toBe(second?.traceId);
});

test('the environment of a process takes a trace to it', () => {
  const parent = readTrace({ traceparent: `00-${TRACE}-${SPAN}-01`, tracestate: 'a=1' });
  const variables = traceVariables(parent);
  expect(Object.keys(variables)).toEqual(['TRACEPARENT', 'TRACESTATE']);
  expect(traceOfEnvironment(variables)).toMatchObject({ traceId: TRACE, sampled: true, state: 'a=1' });
  expect(Object.keys(traceVariables(parseTraceparent(`00-${TRACE}-${SPAN}-01`)))).toEqual(['TRACEPARENT']);
  expect(traceVariables(undefined)).toEqual({});
  expect(traceOfEnvironment({ TRACEPARENT: 'x' })).toBeUndefined();
});

describe('the work at hand', () => {
  const of = (digit: string): TraceContext => ({ traceId: digit.repeat(32), spanId: SPAN, sampled: true });
  const now = () => readTrace(currentTrace() ?? {})?.traceId;

  test('keeps its trace over whatever it waits for, beside other work', async () => {
    const later = async () => {
      await setTimeout(1);
      return now();
    };
    expect(await Promise.all(['a', 'b'].map((digit) => inTrace(of(digit), later)))).toEqual(
      ['a', 'b'].map((digit) => digit.repeat(32)),
    );
    expect(now()).toBeUndefined();
  });

  test('has a span of its own for each call', () => {
    const spans = inTrace(of('a'), () =>
      [currentTrace(), currentTrace()].map((fields) => readTrace(fields ?? {})?.spanId),
    );
    expect(new Set([SPAN, ...spans]).size).toBe(3);
  });

  test('that is part of no trace has none, though what began it has', () => {
    expect(inTrace(of('a'), () => inTrace(undefined, now))).toBeUndefined();
  });
});
