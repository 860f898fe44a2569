/**
 * A webhook has no name of its own: a document names it by its address, or by its id where several post to one address.
 * Its secret is in no file. One that is made here has a secret that nobody has seen; `assay webhooks secret` shows another.
 */
import { type Webhook, WebhookDocument, type WebhookSpec } from '@assay/contracts';
import { defineKind, withoutDefaults } from '../kind.ts';
import type { Session } from '../session.ts';

const ID = /^whk_/;

export const webhookKind = defineKind<WebhookSpec, Webhook>({
  kind: 'Webhook',
  schema: WebhookDocument,
  folder: 'webhooks',
  identity: addressOf,
  async find(document, session) {
    const { name } = document;
    const all = await session.webhooks();
    if (ID.test(name)) {
      const found = all.find(({ id }) => id === name);
      if (found !== undefined || document.spec === undefined) return found;
      throw document.wrong(['name'], `there is no webhook ${name}`, 'a new one by its address');
    }
    if (!URL.canParse(name)) throw document.wrong(['name'], 'is no address', 'https://…');
    const found = all.filter(({ url }) => url === addressOf(name));
    if (found.length < 2) return found[0];
    const ids = found.map(({ id }) => id).join(', ');
    throw document.wrong(['name'], `${found.length} webhooks post to this address`, `one of ${ids}`);
  },
  specOf,
  wanted: async (spec) =>
    withoutDefaults({
      ...spec,
      events: spec.events?.toSorted(),
      models: spec.models?.toSorted(),
      enabled: spec.enabled === false ? false : undefined,
    }),
  async write({ name, spec, found }, { registry, signal }) {
    const { events = [], models = [], description = '', enabled = true } = spec;
    if (found !== undefined) {
      const body = { expectedRevision: found.revision, events, models, description, enabled };
      await registry.updateWebhook(found.id, body, { signal });
      return undefined;
    }
    const { webhook } = await registry.createWebhook({ url: name, events, models, description }, { signal });
    const { id, revision } = webhook;
    if (!enabled) await registry.updateWebhook(id, { expectedRevision: revision, enabled }, { signal });
    return `its receiver needs a secret: assay webhooks secret ${id}`;
  },
  async remove({ id, revision }, { registry, signal }) {
    await registry.deleteWebhook(id, revision, { signal });
  },
  async *list(session) {
    const all = await session.webhooks();
    for (const webhook of all) {
      const isAlone = all.every(({ id, url }) => id === webhook.id || url !== webhook.url);
      const name = isAlone ? webhook.url : webhook.id;
      yield { name, spec: await specOf(webhook, session), fileName: webhook.id };
    }
  },
});

function addressOf(name: string): string {
  return URL.canParse(name) ? new URL(name).href : name;
}

async function specOf({ events, models, description, enabled }: Webhook, session: Session): Promise<WebhookSpec> {
  const names = await Promise.all(models.map((id) => session.modelName(id)));
  return withoutDefaults({
    events: events.toSorted(),
    models: names.toSorted(),
    description,
    enabled: enabled ? undefined : false,
  });
}
