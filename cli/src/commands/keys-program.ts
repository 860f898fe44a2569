/** The commands under `assay keys`. */
import { type Command, Option } from 'commander';
import type { Io } from '../io.ts';

const HELP = `
Examples:
  assay keys create churn-app --service --scopes score --endpoints churn   for an application
  assay keys create alice --scopes read,register,promote                   for a person
  assay keys revoke key_01jd8q2v7k3m9x4w5e6r7t8y9z                          for good, within 5 s

The text of a key is printed once, on standard output. Other commands take theirs from ASSAY_API_KEY or
ASSAY_API_KEY_FILE, and beside a running \`assay up --keys\` from its data folder.
`;

/** @param keys the command `keys` itself */
export function addKeysCommands(
  keys: Command,
  io: Io,
  targets: { registry: () => Option; dataDir: () => Option },
): void {
  const command = (usage: string, description: string): Command =>
    keys
      .command(usage)
      .description(description)
      .option('--json', 'print JSON, errors too')
      .addOption(targets.registry())
      .addOption(targets.dataDir());
  keys.addHelpText('after', HELP);

  command('create <principal>', 'make a key, and print its text this once')
    .addOption(
      new Option('--scopes <list>', 'what it may do, with commas between').makeOptionMandatory().argParser(split),
    )
    .addOption(new Option('--endpoints <list>', 'only these endpoints may be scored with it').argParser(split))
    .option('--service', 'a new principal is a service, not a person')
    .option('--description <text>', 'what it is for, where it is kept')
    .action(async (principal: string, options) => (await import('./keys.ts')).create(io, principal, options));
  command('list', 'list the keys that hold')
    .option('--principal <name>', 'only those of one principal')
    .option('--all', 'revoked ones too')
    .action(async (options) => (await import('./keys.ts')).list(io, options));
  command('show <id>', 'show what is known of a key').action(async (id: string, options) =>
    (await import('./keys.ts')).show(io, id, options),
  );
  command('revoke <id>', 'revoke a key for good').action(async (id: string, options) =>
    (await import('./keys.ts')).revoke(io, id, options),
  );
  keys
    .command('init <dir>')
    .description('make a folder with keys for an administrator and the services, for a registry to start with')
    .option('--json', 'print JSON, errors too')
    .action(async (dir: string, options) => (await import('./keys.ts')).init(io, dir, options));
}

function split(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}
