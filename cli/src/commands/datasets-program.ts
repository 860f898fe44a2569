/** The commands under `assay datasets`. */
import { DATASET_FORMATS, DATASET_LAYERS } from '@assay/contracts';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Io } from '../io.ts';

const HELP = `
Examples:
  assay datasets add flights flights.parquet --owner data@example.com --licence "public domain"
  assay datasets add bookings 2026-*.csv --type code=VARCHAR --personal-data name,email
  assay datasets add flights new.parquet --changes "February added"
  assay datasets show flights@2
  assay datasets changes flights@2 --since 1
  assay datasets lineage flights@2
  assay datasets get flights --to ./flights

What was said of the version before (layer, source, owner, licence, known bias, personal data, description) is said of the
next one, too, unless an option says otherwise.
`;

/** @param datasets the command `datasets` itself */
export function addDatasetsCommands(
  datasets: Command,
  io: Io,
  targets: { registry: () => Option; dataDir: () => Option },
): void {
  const command = (usage: string, description: string): Command =>
    datasets
      .command(usage)
      .description(description)
      .option('--json', 'print JSON, errors too')
      .addOption(targets.registry())
      .addOption(targets.dataDir());
  datasets.addHelpText('after', HELP);

  command('add <name> <files...>', 'register files of one schema as the next version of a dataset')
    .addOption(new Option('--format <format>', 'default: by the file names').choices(DATASET_FORMATS))
    .option('--type <column=type>', 'CSV: the SQL type of a column, where the first rows mislead', collect, [])
    .addOption(new Option('--layer <layer>', 'what was done to the data (default: raw)').choices(DATASET_LAYERS))
    .option('--source <text>', 'where the data came from')
    .option('--owner <who>', 'who answers for the data')
    .option('--licence <text>', 'under which it may be used')
    .option('--known-bias <text>', 'what the data is known to represent badly')
    .addOption(
      new Option('--personal-data <list>', 'columns that hold personal data, with commas between').argParser(split),
    )
    .option('--description <text>', 'what a row is, and what the table is for')
    .option('--changes <text>', 'what changed since the version before: needed from version 2 on')
    .option('--parent <name@version>', 'a dataset version that this one was made from', collect, [])
    .action(async (name: string, files: string[], options) =>
      (await import('./datasets-add.ts')).add(io, name, files, options),
    );
  command('list', 'list the datasets, each with its newest version').action(async (options) =>
    (await import('./datasets.ts')).list(io, options),
  );
  command('show <name[@version]>', 'show what is known of a version, the newest by default').action(
    async (which: string, options) => (await import('./datasets.ts')).show(io, which, options),
  );
  command('changes <name[@version]>', 'show what a version changed: columns, rows, missing values, means')
    .option('--since <version>', 'compared with this version (default: the one before)', versionNumber)
    .action(async (which: string, options) => (await import('./datasets-changes.ts')).changes(io, which, options));
  command(
    'lineage <name[@version]>',
    'show what a version was made from, and the datasets and models made from it',
  ).action(async (which: string, options) => (await import('./lineage.ts')).datasetLineage(io, which, options));
  command('get <name[@version]>', 'download the files of a version, the newest by default')
    .requiredOption('--to <folder>', 'the folder to make')
    .action(async (which: string, options) => (await import('./datasets.ts')).get(io, which, options));
}

function collect(text: string, before: string[]): string[] {
  return [...before, text];
}

function versionNumber(text: string): number {
  if (!/^[1-9]\d{0,14}$/.test(text)) throw new InvalidArgumentError('expected a version number');
  return Number(text);
}

function split(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}
