/** The settings that every service of jobs has; spread into its own. */
import { AssayError } from '@assay/contracts';
import { accessSettings, tlsSettings } from '@assay/http';
import { type ConfigDefinition, type ConfigOf, environmentName, logLevelSetting, setting } from '@assay/runtime';
import Type from 'typebox';

const ms = (minimum: number) => Type.Integer({ minimum, maximum: 30 * 24 * 3_600_000 });
const count = (maximum: number) => Type.Integer({ minimum: 1, maximum });

/** @param service its name and section: `training` */
export function jobServiceSettings(service: string, { port }: { readonly port: number }) {
  return {
    host: setting(Type.String({ minLength: 1 }), {
      default: '127.0.0.1',
      description: 'The address to listen on. Loopback only, as long as there is no serviceKey.',
    }),
    port: setting(Type.Integer({ minimum: 0, maximum: 65_535 }), {
      default: port,
      description: 'The port of the HTTP door; 0 takes a free one.',
    }),
    dataDir: setting(Type.String({ minLength: 1 }), {
      default: './.assay',
      env: 'ASSAY_DATA_DIR',
      description: `The data folder. The service keeps its database, its jobs and what they fetch in \`${service}\` under it.`,
    }),
    databaseUrl: setting(Type.String({ minLength: 1 }), {
      secret: true,
      optional: true,
      description: `Where the jobs are recorded: \`sqlite:FILE\`, or \`postgres://USER:PASSWORD@HOST/DATABASE?schema=${service}\`. Without it \`${service}/${service}.sqlite\` in the data folder.`,
    }),
    eventsUrl: setting(Type.String({ minLength: 1 }), {
      secret: true,
      optional: true,
      description:
        'Where events go: `kafka:` (the cluster of the kafka settings), or the database of the embedded event log, `sqlite:FILE` or `postgres://…`. Without it Kafka where there are brokers, else `events.sqlite` in the data folder. Not read when another program hands the service its event bus.',
    }),
    ...tlsSettings,
    ...accessSettings,
    registryUrl: setting(Type.String({ pattern: '^https?://' }), {
      default: 'http://127.0.0.1:8101',
      env: 'ASSAY_REGISTRY_URL',
      description: 'The registry of versions and datasets.',
    }),
    launcher: setting(Type.Enum(['process', 'kubernetes']), {
      default: 'process',
      description:
        'What executes jobs: child processes of the service, or Jobs on Kubernetes, which need jobsFile and publicUrl.',
    }),
    jobsFile: setting(Type.String({ minLength: 1 }), {
      optional: true,
      description: 'How the pods of jobs look (YAML; see the page on jobs). Read with launcher kubernetes.',
    }),
    publicUrl: setting(Type.String({ pattern: '^https?://' }), {
      optional: true,
      description: 'The address of this service as the pods of its jobs reach it. Used with launcher kubernetes.',
    }),
    maxConcurrentJobs: setting(count(1000), {
      default: 1,
      description:
        'Jobs that run, or wait for a node, at once; others wait in the queue. As a child process a job takes all cores that it may.',
    }),
    maxAttempts: setting(count(100), {
      default: 3,
      description: 'How often a job is begun when it is killed, or when something that it needs is away.',
    }),
    jobTimeoutMs: setting(ms(1000), {
      default: 6 * 3_600_000,
      unit: 'ms',
      description: 'How long one attempt may take before it has failed.',
    }),
    cancelGraceMs: setting(ms(0), {
      default: 10_000,
      unit: 'ms',
      description: 'Between asking a job to stop and killing it.',
    }),
    jobNiceness: setting(Type.Integer({ minimum: 0, maximum: 19 }), {
      default: 10,
      description:
        'The priority of child processes (nice): the higher, the more jobs give way to what serves on the same machine.',
    }),
    maxLongPollMs: setting(ms(1), {
      default: 60_000,
      unit: 'ms',
      description: 'The longest wait of `GET /v1/jobs/{id}`; a longer `waitMs` is refused.',
    }),
    maxWaiters: setting(count(100_000), {
      default: 1000,
      description: 'Calls that may wait for a change of a job at once.',
    }),
    drainDelayMs: setting(Type.Integer({ minimum: 0, maximum: 600_000 }), {
      default: 0,
      unit: 'ms',
      description:
        'At shutdown: how long to go on accepting after readiness is off. Some seconds behind a load balancer.',
    }),
    closeTimeoutMs: setting(ms(1), {
      default: 10_000,
      unit: 'ms',
      description: 'At shutdown: how long requests in flight may take before their connections are cut.',
    }),
    logLevel: logLevelSetting,
  };
}

export type JobServiceConfig = ConfigOf<ConfigDefinition<ReturnType<typeof jobServiceSettings>>>;

/** Where jobs run, as the settings say it. */
export type LauncherChoice =
  | { readonly launcher: 'process' }
  | { readonly launcher: 'kubernetes'; readonly jobsFile: string; readonly publicUrl: string };

/** @throws AssayError FAILED_PRECONDITION for settings that do not go together, with the variable that is missing */
export function launcherChoice(definition: ConfigDefinition, config: JobServiceConfig): LauncherChoice {
  const { launcher, jobsFile, publicUrl } = config;
  if (launcher === 'process') return { launcher };
  const missing = (key: string, what: string): AssayError =>
    new AssayError(
      'FAILED_PRECONDITION',
      `launcher kubernetes (${environmentName(definition, 'launcher')}) needs ${key}: set ${environmentName(definition, key)} to ${what}`,
    );
  if (jobsFile === undefined) throw missing('jobsFile', 'the file that says how the pods of jobs look');
  if (publicUrl === undefined) throw missing('publicUrl', 'the address of this service as pods reach it');
  return { launcher, jobsFile, publicUrl: publicUrl.replace(/\/+$/, '') };
}
