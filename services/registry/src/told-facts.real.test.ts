import { join } from 'node:path';
import { type AuditEntry, type AuditVerification, type Page, TOPICS, type ToldFact } from '@assay/contracts';
import { type EventBus, newEvent, openDatabaseEventBus } from '@assay/events';
import { createLogger, newId } from '@assay/runtime';
import { expect, it } from 'vitest';
import { type RegistryUnderTest, startRegistry } from './registry-under-test.ts';

/** The bus of that registry, as another service opens it. */
async function busOf(registry: RegistryUnderTest): Promise<EventBus & AsyncDisposable> {
  const log = createLogger({ service: 'training', level: 'silent' });
  const bus = await openDatabaseEventBus({ url: `sqlite:${join(registry.dir, 'events.sqlite')}`, log });
  return { ...bus, [Symbol.asyncDispose]: () => bus.close() };
}

const factOf = (more: Partial<ToldFact> = {}): ToldFact => ({
  ...{ id: newId('aud'), at: 1_767_225_600_000, principal: 'ada', action: 'job.submit', requestId: 'req_1' },
  ...{ resource: `job/${newId('job')}`, details: { kind: 'training', specSha256: 'a'.repeat(64) }, ...more },
});
const told = (data: unknown) =>
  newEvent({ source: '/assay/training', type: 'assay.audit.fact.v1', subject: 'job_1', sequence: 1, data });

it('facts of other services are entries of the chain, once, however often they come', async () => {
  await using registry = await startRegistry();
  await using bus = await busOf(registry);
  const [submitted, cancelled] = [factOf(), factOf({ action: 'job.cancel' })];
  await registry.call('POST', '/v1/models', { name: 'm' });
  const first = told(submitted);
  // A publisher that was killed sends the same event again; a service that was restored, the same fact in another one.
  await bus.publish(TOPICS.audit, [first, first, told(submitted), told(cancelled)]);
  const entries = async () => (await registry.call<Page<AuditEntry>>('GET', '/v1/audit')).body.items;
  await expect.poll(async () => (await entries()).length, { timeout: 20_000 }).toBe(3);
  expect((await entries()).slice(1)).toMatchObject([
    { ...submitted, details: { ...submitted.details, toldBy: '/assay/training' } },
    { ...cancelled, details: { ...cancelled.details, toldBy: '/assay/training' } },
  ]);
  const verdict = await registry.call<AuditVerification>('GET', '/v1/audit/verify');
  expect(verdict.body).toMatchObject({ valid: true, entries: 3 });
  const metrics = await (await fetch(`${registry.url}/metrics`)).text();
  expect(metrics).toContain('assay_registry_told_facts_total{outcome="taken"} 2');
});

it('what is no fact, or not theirs to tell, is refused, and those behind it are taken', async () => {
  await using registry = await startRegistry();
  await using bus = await busOf(registry);
  const good = factOf();
  await bus.publish(TOPICS.audit, [
    told(null),
    told({ ...factOf(), action: 'alias.move', resource: 'model/mdl_1' }),
    told(factOf({ id: 'aud_1' })),
    newEvent({ source: '/x', type: 'of.a.later.version.v1', subject: 's', sequence: 1, data: {} }),
    told({ ...good, later: 'a newer service says more' }),
  ]);
  const entries = async () => (await registry.call<Page<AuditEntry>>('GET', '/v1/audit')).body.items;
  await expect.poll(entries, { timeout: 20_000 }).toMatchObject([{ sequence: 1, id: good.id, action: 'job.submit' }]);
  const metrics = await (await fetch(`${registry.url}/metrics`)).text();
  expect(metrics).toContain('assay_registry_told_facts_total{outcome="refused"} 3');
});
