/** The commands under `assay webhooks`. */
import { DELIVERY_STATES } from '@assay/contracts';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Io } from '../io.ts';

const HELP = `
Examples:
  assay webhooks create https://example.com/assay --events assay.model.alias-moved.v1 --models flight-delay
  assay webhooks test whk_01jd8q2v7k3m9x4w5e6r7t8y9z
  assay webhooks deliveries whk_01jd8q2v7k3m9x4w5e6r7t8y9z --state pending
  assay webhooks replay whk_01jd8q2v7k3m9x4w5e6r7t8y9z whd_01jd8q3m5n7p9r1s3t5v7w9x1z

The secret is printed once, on standard output: receivers check signatures with it.
`;

/** @param webhooks the command `webhooks` itself */
export function addWebhooksCommands(
  webhooks: Command,
  io: Io,
  targets: { registry: () => Option; dataDir: () => Option },
): void {
  const command = (usage: string, description: string): Command =>
    webhooks
      .command(usage)
      .description(description)
      .option('--json', 'print JSON, errors too')
      .addOption(targets.registry())
      .addOption(targets.dataDir());
  const events = () =>
    new Option('--events <list>', 'only events of these types, with commas between').argParser(split);
  const models = () =>
    new Option('--models <list>', 'only events of these models, with commas between').argParser(split);
  const load = () => import('./webhooks.ts');
  webhooks.addHelpText('after', HELP);

  command('create <url>', 'post events to an address from now on, and print the secret this once')
    .addOption(events())
    .addOption(models())
    .option('--description <text>', 'what it is for')
    .action(async (url: string, options) => (await load()).create(io, url, options));
  command('list', 'list the webhooks').action(async (options) => (await load()).list(io, options));
  command('show <id>', 'show what is known of a webhook').action(async (id: string, options) =>
    (await load()).show(io, id, options),
  );
  command('update <id>', 'change a webhook; an empty list is all')
    .option('--url <url>', 'where events are posted to')
    .addOption(events())
    .addOption(models())
    .option('--description <text>', 'what it is for')
    .action(async (id: string, options) => (await load()).update(io, id, options));
  command('enable <id>', 'go on with what waits, in order').action(async (id: string, options) =>
    (await load()).enable(io, id, true, options),
  );
  command('disable <id>', 'send nothing, and take on nothing new').action(async (id: string, options) =>
    (await load()).enable(io, id, false, options),
  );
  command('delete <id>', 'delete a webhook, with its log and what waits for it').action(async (id: string, options) =>
    (await load()).remove(io, id, options),
  );
  command('secret <id>', 'give it another secret, and print that this once; the former one holds for 24 hours').action(
    async (id: string, options) => (await load()).secret(io, id, options),
  );
  command('test <id>', 'post an event now, once, and tell what came of it').action(async (id: string, options) =>
    (await load()).test(io, id, options),
  );
  command('deliveries <id>', 'list what was posted and what waits, newest first')
    .addOption(new Option('--state <state>', 'only these').choices(DELIVERY_STATES))
    .option('--limit <count>', 'at most so many', count, 20)
    .option('--after <cursor>', 'the page after this cursor')
    .action(async (id: string, options) => (await load()).deliveries(io, id, options));
  command('replay <id> <delivery>', 'deliver the same event again, with the same id').action(
    async (id: string, delivery: string, options) => (await load()).replay(io, id, delivery, options),
  );
}

function split(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function count(text: string): number {
  const value = Number(text);
  if (!/^[1-9]\d{0,3}$/.test(text) || value > 1000) throw new InvalidArgumentError('expected a number from 1 to 1000');
  return value;
}
