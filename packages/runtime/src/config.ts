/**
 * Configuration, declared once: a definition is a section of settings with their schema, default, unit and description.
 * Loading (config-load.ts) and the reference table come from it.
 */
import { AssayError, matches } from '@assay/contracts';
import type { Static, TSchema } from 'typebox';
import type { Secret } from './secret.ts';

export interface SettingOptions {
  /** What it is for and when to change it. */
  readonly description: string;
  /** `ms`, `bytes`, `rows`: for the table; the name of the setting carries it too. */
  readonly unit?: string;
  /** The environment variable, where the derived name (`ASSAY_SECTION_KEY`) is not the one wanted. */
  readonly env?: string;
}

/** One setting; `Value` is what a loaded config has under its key. */
export interface Setting<Value = unknown> extends SettingOptions {
  readonly schema: TSchema;
  readonly default?: unknown;
  readonly optional: boolean;
  readonly secret: boolean;
  /** For the type only: never there. */
  readonly value?: Value;
}

/** A setting with a default. */
export function setting<S extends TSchema>(
  schema: S,
  options: SettingOptions & { default: Static<S> },
): Setting<Static<S>>;
/** A secret that may be absent: a string, from the environment, from a file (`ASSAY_…_FILE`) or the config file. */
export function setting<S extends TSchema>(
  schema: S,
  options: SettingOptions & { secret: true; optional: true },
): Setting<Secret | undefined>;
/** A secret that must be given. */
export function setting<S extends TSchema>(schema: S, options: SettingOptions & { secret: true }): Setting<Secret>;
/** A setting that may be absent. */
export function setting<S extends TSchema>(
  schema: S,
  options: SettingOptions & { optional: true },
): Setting<Static<S> | undefined>;
/** A setting that must be given. */
export function setting<S extends TSchema>(schema: S, options: SettingOptions): Setting<Static<S>>;
export function setting(
  schema: TSchema,
  options: SettingOptions & { default?: unknown; secret?: boolean; optional?: boolean },
): Setting {
  const hasDefault = options.default !== undefined;
  if (hasDefault && !matches(schema, options.default)) {
    throw new AssayError(
      'INTERNAL',
      `the default ${JSON.stringify(options.default)} of a setting does not fit its schema`,
    );
  }
  return {
    ...options,
    schema,
    optional: options.optional ?? hasDefault,
    secret: options.secret ?? false,
  };
}

export type Settings = Readonly<Record<string, Setting>>;

export interface ConfigDefinition<S extends Settings = Settings, Section extends string = string> {
  /** The section in the file and the middle of the environment variables: `inference`. */
  readonly section: Section;
  readonly settings: S;
}

/** What `loadConfig` gives for a definition. */
export type ConfigOf<D extends ConfigDefinition> = {
  readonly [K in keyof D['settings']]: D['settings'][K] extends Setting<infer Value> ? Value : never;
};

/** Declares a section: `defineConfig('inference', { port: setting(…) })` is `ASSAY_INFERENCE_PORT` and `inference: {port}`. */
export function defineConfig<const Section extends string, S extends Settings>(
  section: Section,
  settings: S,
): ConfigDefinition<S, Section> {
  return { section, settings };
}

/** `ASSAY_INFERENCE_MAX_BATCH_ROWS` for `maxBatchRows` of `inference`. */
export function environmentName(definition: ConfigDefinition, key: string): string {
  return definition.settings[key]?.env ?? `ASSAY_${toScreamingSnake(definition.section)}_${toScreamingSnake(key)}`;
}

function toScreamingSnake(name: string): string {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replace(/[-.]/g, '_')
    .toUpperCase();
}

/** A line of the generated table of settings. */
export interface ConfigRow {
  readonly section: string;
  readonly key: string;
  readonly environment: string;
  /** For secrets: the variable that names a file to read it from. */
  readonly fileEnvironment?: string;
  /** `integer from 0 to 65535`, `one of info, debug` */
  readonly type: string;
  readonly default?: unknown;
  readonly required: boolean;
  readonly unit?: string;
  readonly secret: boolean;
  readonly description: string;
}

/** Every setting of a definition, in the order in which it declares them. */
export function describeConfig(definition: ConfigDefinition): ConfigRow[] {
  return Object.entries(definition.settings).map(([key, one]) => {
    const environment = environmentName(definition, key);
    return {
      section: definition.section,
      key,
      environment,
      ...(one.secret ? { fileEnvironment: `${environment}_FILE` } : {}),
      type: describeSchema(one.schema),
      ...(one.default === undefined ? {} : { default: one.default }),
      required: !one.optional,
      ...(one.unit === undefined ? {} : { unit: one.unit }),
      secret: one.secret,
      description: one.description,
    };
  });
}

/** The keywords of JSON Schema that a setting's schema may use and a reader wants to see. */
interface SchemaView {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly SchemaView[];
  readonly items?: SchemaView;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly pattern?: string;
}

/** A schema in a few words: `integer from 0 to 65535`, `one of info, debug`, `list of strings`. */
export function describeSchema(schema: TSchema): string {
  return describeView(schema as SchemaView); // every TypeBox schema is a JSON Schema object; absent keywords are undefined
}

function describeView(view: SchemaView): string {
  if (view.enum !== undefined) return `one of ${view.enum.join(', ')}`;
  if (view.const !== undefined) return JSON.stringify(view.const);
  if (view.anyOf !== undefined) return view.anyOf.map(describeView).join(' or ');
  if (view.type === 'array')
    return `list of ${view.items === undefined ? 'values' : `${describeView(view.items)} values`}`;
  const { minimum, maximum } = view;
  const range =
    minimum !== undefined && maximum !== undefined
      ? ` from ${minimum} to ${maximum}`
      : minimum !== undefined
        ? ` of at least ${minimum}`
        : maximum !== undefined
          ? ` of at most ${maximum}`
          : '';
  const pattern = view.pattern === undefined ? '' : ` like ${view.pattern}`;
  return `${view.type ?? 'value'}${range}${pattern}`;
}
