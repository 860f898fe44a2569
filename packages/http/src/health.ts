/** `/livez` (the process turns), `/readyz` (what it needs is there), `/metrics`. */
import Type from 'typebox';

export const Liveness = Type.Object(
  { status: Type.Literal('ok') },
  { $id: 'Liveness', additionalProperties: false, description: 'The process answers.' },
);

export const ReadyCheck = Type.Object(
  {
    ready: Type.Boolean(),
    message: Type.Optional(Type.String({ description: 'Why not, or what it waits for.' })),
  },
  { $id: 'ReadyCheck', additionalProperties: false },
);
export type ReadyCheck = Type.Static<typeof ReadyCheck>;

export const ReadyReport = Type.Object(
  {
    ready: Type.Boolean({ description: 'Whether traffic should come here.' }),
    checks: Type.Record(Type.String(), ReadyCheck, { description: 'By name: what the service needs.' }),
  },
  { $id: 'ReadyReport', additionalProperties: false, description: 'With status 200 when ready and 503 when not.' },
);
export type ReadyReport = Type.Static<typeof ReadyReport>;

/** Ready when each of the named checks is; a check is true, or says why not. */
export function readyReport(checks: Readonly<Record<string, true | string>>): ReadyReport {
  const entries = Object.entries(checks);
  return {
    ready: entries.every(([, check]) => check === true),
    checks: Object.fromEntries(
      entries.map(([name, check]) => [name, check === true ? { ready: true } : { ready: false, message: check }]),
    ),
  };
}

const READY_TIMEOUT_MS = 2000;

/** The service's own report, bounded in time, and never ready while it drains. */
export async function judgeReadiness(
  ready: () => Promise<ReadyReport> | ReadyReport,
  isDraining: boolean,
): Promise<ReadyReport> {
  if (isDraining) return readyReport({ serving: 'the process is stopping' });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<ReadyReport>((resolve) => {
    timer = setTimeout(
      () => resolve(readyReport({ checks: `no answer within ${READY_TIMEOUT_MS} ms` })),
      READY_TIMEOUT_MS,
    );
  });
  try {
    return await Promise.race([Promise.resolve(ready()), late]);
  } catch (error) {
    return readyReport({ checks: error instanceof Error ? error.message : String(error) });
  } finally {
    clearTimeout(timer);
  }
}
