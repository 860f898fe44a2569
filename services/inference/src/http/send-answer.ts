/** A scored request's answer by way of Fastify. */
import type { ScoringAnswer } from './scoring-body.ts';

interface Reply<Sent> {
  headers(headers: Readonly<Record<string, string>>): unknown;
  send(body: never): Sent;
}

/** Sent as it is: it already is the response of the route, as text or bytes. */
export function sendAnswer<Sent>(reply: Reply<Sent>, { text, tail, headers }: ScoringAnswer): Sent {
  reply.headers(headers);
  return reply.send((tail === undefined ? text : Buffer.concat([Buffer.from(text), tail])) as never);
}
