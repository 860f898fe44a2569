/** The commands, their arguments and options: declared here once; help, suggestions and the reference come from it. */
import { ASSAY_VERSION, EXIT_CODES } from '@assay/runtime';
import { Command, InvalidArgumentError, Option } from 'commander';
import { addDatasetsCommands } from './commands/datasets-program.ts';
import { addFilesCommands } from './commands/files-program.ts';
import { addGatesCommands } from './commands/gates-program.ts';
import { addKeysCommands } from './commands/keys-program.ts';
import { addWebhooksCommands } from './commands/webhooks-program.ts';
import type { Io } from './io.ts';
import type { TargetOptions } from './targets.ts';

/** What a command leaves for the process. */
export interface Outcome {
  code: number;
  /** Of every failure, for a command whose own codes would be mistaken for the general ones. */
  failureCode?: number;
}

const targets = {
  registry: () => new Option('--registry <url>', 'address of the registry (default: of the Assay that runs here)'),
  inference: () =>
    new Option('--inference <url>', 'address of the inference service (default: of the Assay that runs here)'),
  training: () =>
    new Option('--training <url>', 'address of the training service (default: of the Assay that runs here)'),
  batch: () => new Option('--batch <url>', 'address of the batch service (default: of the Assay that runs here)'),
  monitoring: () =>
    new Option('--monitoring <url>', 'address of the monitoring service (default: of the Assay that runs here)'),
};

/** Everything under `assay`. Each command loads its own code, and what that needs, when it runs. */
export function createProgram(io: Io, outcome: Outcome): Command {
  const program = new Command('assay')
    .description('Train models, keep them in a registry, and score with them in real time.')
    .version(ASSAY_VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help of a command')
    .showHelpAfterError('(assay help shows what there is)')
    .configureOutput({ writeOut: io.out, writeErr: io.err })
    .addHelpText('after', `\n${exitCodeHelp()}`)
    .exitOverride();

  const command = (usage: string, description: string): Command =>
    program.command(usage).description(description).option('--json', 'print JSON, errors too');
  const dataDir = (): Option => new Option('--data-dir <dir>', 'data folder (default: ASSAY_DATA_DIR, else ./.assay)');

  command('up', 'start registry, training, batch, inference and monitoring in one process, and stay')
    .addOption(dataDir())
    .option('--registry-port <port>', 'port of the registry; 0 takes a free one', port)
    .option('--inference-port <port>', 'port of the inference service; 0 takes a free one', port)
    .option('--training-port <port>', 'port of the training service; 0 takes a free one', port)
    .option('--batch-port <port>', 'port of the batch service; 0 takes a free one', port)
    .option('--monitoring-port <port>', 'port of the monitoring service; 0 takes a free one', port)
    .option('--keys', 'every call needs an API key; those of the administrator and the services are made in DATA/keys')
    .option('--no-example', 'do not train the example when the registry is empty')
    .action(async (options) => (await import('./commands/up.ts')).up(io, options));

  command(
    'serve <models...>',
    'serve model files without a registry: NAME=FILE.onnx, NAME=PACKAGE, NAME=URL or a FOLDER of models',
  )
    .option('--http <port>', 'port to listen on; 0 takes a free one', port)
    .option('--grpc-port <port>', 'port for gRPC too; 0 takes a free one (default: no gRPC)', port)
    .option('--host <address>', 'address to listen on')
    .addHelpText('after', SERVE_HELP)
    .action(async (models: string[], options) => (await import('./commands/serve.ts')).serve(io, models, options));

  command('score <endpoint>', 'score records at an endpoint')
    .addOption(targets.inference())
    .addOption(dataDir())
    .option('--record <json>', 'one record, as a JSON object', collect, [])
    .option('--records <file>', 'a file of records: a JSON array, or an object a line; - is standard input')
    .option('--timeout-ms <ms>', 'how long the answer may take', positive)
    .action(async (endpoint: string, options) => (await import('./commands/score.ts')).score(io, endpoint, options));

  command('train [file]', 'train a model as a spec says, a YAML file or one that the registry keeps, and register it')
    .option('--spec <name>', 'a spec that the registry keeps, in place of a file')
    .addOption(targets.training())
    .addOption(dataDir())
    .option('--detach', 'do not wait for the end')
    .action(async (file: string | undefined, options) => {
      outcome.code = await (await import('./commands/train.ts')).train(io, file, options);
    });

  command('batch <model-or-spec>', 'score the rows of files, as options or a YAML file say')
    .addOption(targets.batch())
    .addOption(dataDir())
    .option('--input <path>', 'a file or a glob: CSV, NDJSON or Parquet; or dataset:NAME, dataset:NAME@VERSION')
    .option(
      '--output <folder>',
      'a folder of this job alone, it is made; or dataset:NAME, whose next version it becomes',
    )
    .option('--model-version <version>', 'a version number or an alias (default: champion)')
    .option('--format <format>', 'csv or parquet (default)')
    .option('--select <feature=sql>', 'SQL for a feature, over the columns of the file', collect, [])
    .option('--column <name>', 'an input column to copy beside each result', collect, [])
    .option('--shard-rows <count>', 'rows of the input in one results file', positive)
    .option('--max-errors <count>', 'the job fails when more rows than this fail', wholeNumber)
    .option('--detach', 'do not wait for the end')
    .action(async (what: string, options) => {
      outcome.code = await (await import('./commands/batch.ts')).batch(io, what, options);
    });

  command('jobs [id]', 'list the training jobs, or show one')
    .addOption(targets.training())
    .addOption(dataDir())
    .option('--logs', 'print the log of the job')
    .option('--follow', 'with --logs: until the job has ended')
    .option('--cancel', 'cancel the job')
    .action(async (id: string | undefined, options) => (await import('./commands/jobs.ts')).jobs(io, id, options));

  command('models [name]', 'list the models, or the versions of one')
    .addOption(targets.registry())
    .addOption(dataDir())
    .action(async (name: string | undefined, options) =>
      (await import('./commands/models.ts')).models(io, name, options),
    );

  command('lineage <model> <version>', 'show what a version was made from, and where it serves and served')
    .addOption(targets.registry())
    .addOption(dataDir())
    .action(async (model: string, version: string, options) =>
      (await import('./commands/lineage.ts')).lineage(io, model, version, options),
    );

  command('register <name> <path>', 'register a version from FILE.onnx, a package, or a folder with model.onnx')
    .addOption(targets.registry())
    .addOption(dataDir())
    .option('--alias <alias>', 'then move this alias to it')
    .option('--description <text>', 'what the version is')
    .action(async (name: string, path: string, options) =>
      (await import('./commands/register.ts')).register(io, name, path, options),
    );

  command('compose <spec>', 'register a version made of others, chained and combined as a YAML file says')
    .addOption(targets.registry())
    .addOption(dataDir())
    .action(async (spec: string, options) => (await import('./commands/compose.ts')).compose(io, spec, options));

  command('alias <model> <alias> <version>', 'move an alias to a version')
    .addOption(targets.registry())
    .addOption(dataDir())
    .option('--expect <revision>', 'only if the alias still has this revision (0: is not there yet)', wholeNumber)
    .action(async (model: string, alias: string, version: string, options) =>
      (await import('./commands/alias.ts')).alias(io, model, alias, version, options),
    );

  command('promote <model> <version>', 'move an alias to a version: champion, where none is named')
    .addOption(targets.registry())
    .addOption(dataDir())
    .option('--alias <alias>', 'which alias', 'champion')
    .option('--expect <revision>', 'only if the alias still has this revision (0: is not there yet)', wholeNumber)
    .option('--force', 'in spite of gates that are not met; needs a key with the scope admin, and --reason')
    .option('--reason <text>', 'with --force: why; it stands in the audit trail')
    .action(async (model: string, version: string, options) =>
      (await import('./commands/promote.ts')).promote(io, model, version, options),
    );

  command('approve <model> <version>', 'approve a version that somebody else registered')
    .addOption(targets.registry())
    .addOption(dataDir())
    .option('--comment <text>', 'what you looked at')
    .option('--withdraw', 'take your approval back')
    .action(async (model: string, version: string, options) =>
      (await import('./commands/approve.ts')).approve(io, model, version, options),
    );

  const audit = command('audit', 'list the audit trail')
    .addOption(targets.registry())
    .addOption(dataDir())
    .option('--after <sequence>', 'entries after this one', wholeNumber)
    .option('--limit <count>', 'at most so many', positive, 100)
    .option('--until <sequence>', 'no entry after this one', positive)
    .option('--principal <name>', 'what this principal did')
    .option('--action <action>', 'alias.move, version.register, …')
    .option('--resource <resource>', 'model/mdl_…, endpoint/ept_…')
    .option('--resource-type <type>', 'model, version, endpoint, key, …')
    .option('--from <time>', 'not before this time (RFC 3339)', time)
    .option('--to <time>', 'not after this time (RFC 3339)', time)
    .action(async (options) => (await import('./commands/audit.ts')).audit(io, options));
  audit
    .command('export <file>')
    .description('write the whole chain to a file, an entry a line (NDJSON)')
    .action(async (file: string, _options, self: Command) => {
      const options: TargetOptions = self.optsWithGlobals();
      await (await import('./commands/audit-files.ts')).exportTo(io, file, options);
    });
  audit
    .command('verify')
    .description('check the hash chain from its first entry')
    .option('--file <file>', 'of this export, without a registry')
    .option('--checkpoints <path>', 'compare it with the signed checkpoints of this folder or log')
    .option('--public-keys <file>', 'PEM, of the keys that may have signed them')
    .action(async (_options, self: Command) => {
      outcome.code = await (await import('./commands/audit-files.ts')).verify(io, self.optsWithGlobals());
    });

  command('backup <folder>', 'back up the database and the blobs of the registry, which may go on running')
    .addOption(dataDir())
    .addHelpText('after', BACKUP_HELP)
    .action(async (folder: string, options) => (await import('./commands/backup.ts')).backup(io, folder, options));

  command('restore <folder>', 'restore a backup into an empty database, and check it')
    .addOption(dataDir())
    .addHelpText('after', BACKUP_HELP)
    .action(async (folder: string, options) => {
      outcome.code = await (await import('./commands/backup.ts')).restore(io, folder, options);
    });

  command('collect', 'list what nothing needs any more; with --delete, remove it')
    .addOption(targets.registry())
    .addOption(dataDir())
    .option('--delete', 'remove it for good')
    .addHelpText('after', COLLECT_HELP)
    .action(async (options) => (await import('./commands/collect.ts')).collect(io, options));

  addFilesCommands(command, io, outcome, { ...targets, dataDir });

  const predictions = program.command('predictions').description('look into the prediction log');
  const ofPredictions = (usage: string, description: string): Command =>
    predictions
      .command(usage)
      .description(description)
      .option('--json', 'print JSON, errors too')
      .addOption(targets.monitoring())
      .addOption(dataDir());
  ofPredictions('get <id>', 'show a prediction: record, outputs, version, digest, routing revision').action(
    async (id: string, options) => (await import('./commands/predictions.ts')).get(io, id, options),
  );
  ofPredictions('list', 'list predictions, newest first')
    .option('--endpoint <name>', 'of this endpoint alone')
    .option('--from <time>', 'not before this time (RFC 3339)')
    .option('--to <time>', 'not after this time (RFC 3339)')
    .option('--limit <count>', 'at most so many', positive, 20)
    .action(async (options) => (await import('./commands/predictions.ts')).list(io, options));

  command('replay <id>', 'score a logged prediction again with the version that made it, and compare the bits')
    .addOption(targets.monitoring())
    .addOption(dataDir())
    .action(async (id: string, options) => {
      outcome.code = await (await import('./commands/replay.ts')).replay(io, id, options);
    });

  addDatasetsCommands(program.command('datasets').description('register, list and download datasets'), io, {
    ...targets,
    dataDir,
  });

  addGatesCommands(
    program.command('gates').description('what a version must meet before it is promoted'),
    io,
    outcome,
    {
      ...targets,
      dataDir,
    },
  );

  addKeysCommands(program.command('keys').description('make, list and revoke API keys'), io, { ...targets, dataDir });

  addWebhooksCommands(program.command('webhooks').description('post events to addresses of yours'), io, {
    ...targets,
    dataDir,
  });

  return program;
}

const SERVE_HELP = `
Examples:
  assay serve churn=churn.onnx           a plain ONNX file
  assay serve churn=./package            a folder with model.onnx (assay.json, where there is one, is checked)
  assay serve ./models                   a folder of NAME/VERSION/model.onnx: the highest version of each
  assay serve churn=s3://models/churn    the same in a bucket: s3://BUCKET/KEY, az://CONTAINER/KEY, file:///PATH
`;

const BACKUP_HELP = `
The registry is found as it finds itself: ASSAY_REGISTRY_DATABASE_URL and ASSAY_REGISTRY_BLOBS_URL, else the data folder.
`;

const COLLECT_HELP = `
What was deleted longer ago than ASSAY_REGISTRY_DELETED_RETENTION_MS, and contents that nothing names and that are older than
ASSAY_REGISTRY_UNUSED_BLOB_GRACE_MS. Needs a key with the scope admin, where there are keys.
`;

function exitCodeHelp(): string {
  const lines = Object.values(EXIT_CODES).map(({ code, description }) => `  ${String(code).padEnd(4)} ${description}`);
  return `Exit codes:\n${lines.join('\n')}\n`;
}

function port(text: string): number {
  return whole(text, 0, 65_535, 'a port is a number from 0 to 65535');
}

function positive(text: string): number {
  return whole(text, 1, Number.MAX_SAFE_INTEGER, 'expected a whole number above 0');
}

function wholeNumber(text: string): number {
  return whole(text, 0, Number.MAX_SAFE_INTEGER, 'expected a whole number');
}

function whole(text: string, min: number, max: number, expected: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < min || value > max) throw new InvalidArgumentError(expected);
  return value;
}

/** Milliseconds since 1970. */
function time(text: string): number {
  const at = Date.parse(text);
  if (!/^\d{4}-/.test(text) || Number.isNaN(at))
    throw new InvalidArgumentError('expected a time like 2026-01-31T12:00:00Z');
  return at;
}

function collect(text: string, before: string[]): string[] {
  return [...before, text];
}
