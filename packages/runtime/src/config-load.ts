/** Loading: flag > environment > file > default. What is unknown, mistyped or missing is refused, all of it at once. */
import { readFileSync } from 'node:fs';
import { AssayError, type ErrorDetail, explain, matches, nearest, whyUnreadable } from '@assay/contracts';
import type { TSchema } from 'typebox';
import { type ConfigDefinition, type ConfigOf, describeSchema, environmentName, type Setting } from './config.ts';
import { Secret } from './secret.ts';
import { readYaml, type YamlDocument } from './yaml.ts';

/** Names the config file; known to every program. */
export const CONFIG_FILE_VARIABLE = 'ASSAY_CONFIG_FILE';

export interface ConfigSources {
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Path of a YAML file; without it the one that `ASSAY_CONFIG_FILE` names, if it is set. */
  readonly file?: string | undefined;
  /**
   * Definitions whose names are known and not loaded here: other services' sections and variables in a shared file or
   * environment are then no mistakes.
   */
  readonly alsoKnown?: readonly ConfigDefinition[];
}

/** Flag values by key: text as it was typed, or values as they are. */
export type ConfigFlags = Readonly<Record<string, unknown>>;

/**
 * The config of one definition.
 * @throws AssayError INVALID_ARGUMENT with a detail for each wrong setting: its name, where it was set, what was expected
 */
export function loadConfig<D extends ConfigDefinition>(
  definition: D,
  sources: ConfigSources & { flags?: ConfigFlags } = {},
): ConfigOf<D> {
  const { flags, ...others } = sources;
  const loaded: Record<string, unknown> = loadConfigs([definition], {
    ...others,
    flags: { [definition.section]: flags ?? {} },
  });
  return loaded[definition.section] as ConfigOf<D>; // loadConfigs gives every section that it is asked for
}

type ConfigsOf<Definitions extends readonly ConfigDefinition[]> = {
  readonly [D in Definitions[number] as D['section']]: ConfigOf<D>;
};

/** The configs of several definitions, by section, from one set of sources; flags are by section too. */
export function loadConfigs<const Definitions extends readonly ConfigDefinition[]>(
  definitions: Definitions,
  sources: ConfigSources & { flags?: Readonly<Record<string, ConfigFlags>> } = {},
): ConfigsOf<Definitions> {
  const env = sources.env ?? {};
  const flags = sources.flags ?? {};
  const known = [...definitions, ...(sources.alsoKnown ?? [])];
  const problems: ErrorDetail[] = [];
  const file = openFile(sources.file ?? nonEmpty(env[CONFIG_FILE_VARIABLE]));

  problems.push(...unknownVariables(env, known), ...unknownFlags(flags, definitions));
  if (file !== undefined) problems.push(...unknownFileKeys(file, known));

  const configs: Record<string, Record<string, unknown>> = {};
  for (const definition of definitions) {
    const config: Record<string, unknown> = {};
    configs[definition.section] = config;
    for (const [key, one] of Object.entries(definition.settings)) {
      const name = `${definition.section}.${key}`;
      const found = find(definition, key, one, flags[definition.section] ?? {}, env, file);
      if ('problem' in found) problems.push({ place: name, ...found.problem });
      else if (found.value === undefined && !one.optional) {
        const variable = environmentName(definition, key);
        problems.push({
          place: name,
          message: `is required; set ${variable}${one.secret ? ` or ${variable}_FILE` : ''}, or ${key} under ${definition.section} in the config file`,
          expected: describeSchema(one.schema),
        });
      } else {
        config[key] = one.secret && found.value !== undefined ? new Secret(String(found.value)) : found.value;
      }
    }
  }
  if (problems.length > 0) throw refusal(problems);
  return configs as ConfigsOf<Definitions>; // every key of every definition was set above, by its schema
}

interface Problem {
  readonly message: string;
  readonly expected?: string;
}
type Found = { readonly value: unknown } | { readonly problem: Problem };

/** The value of a setting from the first source that has it. */
function find(
  definition: ConfigDefinition,
  key: string,
  one: Setting,
  flags: ConfigFlags,
  env: Readonly<Record<string, string | undefined>>,
  file: ConfigFile | undefined,
): Found {
  const flag = flags[key];
  if (flag !== undefined) {
    if (one.secret) {
      return { problem: { message: 'is a secret and cannot be a flag: others on this machine see command lines' } };
    }
    return typeof flag === 'string' ? fromText(one, flag, `flag ${key}`) : fromValue(one, flag, `flag ${key}`);
  }
  const variable = environmentName(definition, key);
  const text = nonEmpty(env[variable]);
  if (one.secret) {
    const path = nonEmpty(env[`${variable}_FILE`]);
    if (path !== undefined) {
      if (text !== undefined) return { problem: { message: `both ${variable} and ${variable}_FILE are set; set one` } };
      return fromSecretFile(one, path, `${variable}_FILE`);
    }
  }
  if (text !== undefined) return fromText(one, text, `environment ${variable}`);
  const inFile = file?.values[definition.section];
  if (isObject(inFile) && Object.hasOwn(inFile, key) && file !== undefined) {
    return fromValue(one, inFile[key], file.document.place([definition.section, key]));
  }
  return { value: one.default };
}

function fromSecretFile(one: Setting, path: string, source: string): Found {
  try {
    return fromText(one, readFileSync(path, 'utf8').replace(/\r?\n$/, ''), `the file of ${source}`);
  } catch (error) {
    return { problem: { message: `${source}: ${whyUnreadable(error, path)}` } };
  }
}

/** What text from a flag or a variable means is decided by the schema alone: `8102` is a number only where one is wanted. */
function fromText(one: Setting, text: string, source: string): Found {
  for (const candidate of readings(text)) if (matches(one.schema, candidate)) return { value: candidate };
  return { problem: problemOf(one, text, source) };
}

function readings(text: string): unknown[] {
  const candidates: unknown[] = [text];
  if (/^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(text)) candidates.push(Number(text));
  if (text === 'true' || text === 'false') candidates.push(text === 'true');
  if (/^[[{]/.test(text)) {
    try {
      candidates.push(JSON.parse(text));
    } catch {
      // not JSON, then; the other readings decide
    }
  }
  candidates.push(text.split(',').map((part) => part.trim()));
  return candidates;
}

function fromValue(one: Setting, value: unknown, source: string): Found {
  if (matches(one.schema, value)) return { value };
  return { problem: problemOf(one, value, source) };
}

function problemOf(one: Setting, value: unknown, source: string): Problem {
  const expected = describeSchema(one.schema);
  if (one.secret) return { message: `the secret from ${source} is not ${article(expected)}`, expected };
  const shown = JSON.stringify(value) ?? String(value);
  const suggestion = typeof value === 'string' ? nearest(value, allowedWords(one.schema)) : undefined;
  const inner = isObject(value) || Array.isArray(value) ? explain(one.schema, value, 'it')[0] : undefined;
  return {
    message:
      `${shown.length > 60 ? `${shown.slice(0, 57)}…` : shown} from ${source} is not ${article(expected)}` +
      (inner === undefined ? '' : `: ${inner.place}: ${inner.message}`) +
      (suggestion === undefined ? '' : `; did you mean "${suggestion}"?`),
    expected,
  };
}

function article(expected: string): string {
  if (/^(one of|"|list)/.test(expected)) return expected.startsWith('list') ? `a ${expected}` : expected;
  return `${/^[aeiou]/.test(expected) ? 'an' : 'a'} ${expected}`;
}

function allowedWords(schema: TSchema): string[] {
  const values = (schema as { enum?: unknown[] }).enum; // absent where the schema is no enum
  return (values ?? []).filter((value): value is string => typeof value === 'string');
}

function unknownVariables(
  env: Readonly<Record<string, string | undefined>>,
  known: readonly ConfigDefinition[],
): ErrorDetail[] {
  const names = new Set([CONFIG_FILE_VARIABLE]);
  for (const definition of known) {
    for (const [key, one] of Object.entries(definition.settings)) {
      const name = environmentName(definition, key);
      names.add(name);
      if (one.secret) names.add(`${name}_FILE`);
    }
  }
  return Object.keys(env)
    .filter((name) => name.startsWith('ASSAY_') && !names.has(name))
    .map((name) => unknown(`environment ${name}`, 'environment variable', name, names));
}

function unknownFlags(
  flags: Readonly<Record<string, ConfigFlags>>,
  definitions: readonly ConfigDefinition[],
): ErrorDetail[] {
  const sections = new Map(definitions.map((definition) => [definition.section, Object.keys(definition.settings)]));
  return Object.entries(flags).flatMap(([section, values]) => {
    const keys = sections.get(section);
    if (keys === undefined) return [unknown(`flag ${section}`, 'section of flags', section, sections.keys())];
    return Object.keys(values)
      .filter((key) => !keys.includes(key))
      .map((key) => unknown(`flag ${key}`, 'flag', key, keys));
  });
}

interface ConfigFile {
  readonly document: YamlDocument;
  readonly values: Readonly<Record<string, unknown>>;
}

function openFile(path: string | undefined): ConfigFile | undefined {
  if (path === undefined) return undefined;
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new AssayError('INVALID_ARGUMENT', whyUnreadable(error, path, 'config file'), { cause: error });
  }
  const document = readYaml(text, path);
  if (document.value === null) return { document, values: {} };
  if (isObject(document.value)) return { document, values: document.value };
  throw new AssayError('INVALID_ARGUMENT', `${path}:1: expected sections such as "inference:" with their settings`);
}

function unknownFileKeys(file: ConfigFile, known: readonly ConfigDefinition[]): ErrorDetail[] {
  const sections = new Map<string, string[]>();
  for (const { section, settings } of known) {
    sections.set(section, [...(sections.get(section) ?? []), ...Object.keys(settings)]);
  }
  return Object.entries(file.values).flatMap(([section, values]) => {
    const keys = sections.get(section);
    if (keys === undefined) {
      return [unknown(file.document.place([section]), 'section', section, sections.keys())];
    }
    if (values === null) return [];
    if (!isObject(values)) {
      return [{ place: file.document.place([section]), message: `must hold settings, got ${JSON.stringify(values)}` }];
    }
    return Object.keys(values)
      .filter((key) => !keys.includes(key))
      .map((key) => unknown(file.document.place([section, key]), 'key', key, keys));
  });
}

function unknown(place: string, what: string, name: string, known: Iterable<string>): ErrorDetail {
  const names = [...known];
  const suggestion = nearest(name, names);
  return {
    place,
    message: `unknown ${what} ${name}${suggestion === undefined ? '' : `; did you mean ${suggestion}?`}`,
    ...(names.length > 0 && names.length <= 30 ? { expected: `one of ${names.sort().join(', ')}` } : {}),
  };
}

function refusal(problems: readonly ErrorDetail[]): AssayError {
  const lines = problems.map((problem) => `${problem.place}: ${problem.message}`);
  const message =
    lines.length === 1 ? `config: ${lines[0]}` : `config: ${lines.length} problems:\n  ${lines.join('\n  ')}`;
  return new AssayError('INVALID_ARGUMENT', message, { details: problems });
}

/** An empty variable counts as not set: that is how compose files and shells write "nothing". */
function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
