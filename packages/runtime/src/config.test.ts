import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { AssayError } from '@assay/contracts';
import Type from 'typebox';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { defineConfig, describeConfig, setting } from './config.ts';
import { loadConfig, loadConfigs } from './config-load.ts';

const inference = defineConfig('inference', {
  port: setting(Type.Integer({ minimum: 0, maximum: 65535 }), { default: 8102, description: 'Where it listens.' }),
  isolation: setting(Type.Enum(['thread', 'process']), { default: 'thread', description: 'Where models run.' }),
  maxQueueMs: setting(Type.Number({ minimum: 0 }), { default: 50, unit: 'ms', description: 'The longest queue.' }),
  warm: setting(Type.Boolean(), { default: true, description: 'Whether models are warmed.' }),
  tags: setting(Type.Array(Type.String()), { default: [], description: 'Words.' }),
  dataDir: setting(Type.String({ minLength: 1 }), {
    env: 'ASSAY_DATA_DIR',
    description: 'The data folder.',
    optional: true,
  }),
  apiKey: setting(Type.String({ minLength: 4 }), { secret: true, optional: true, description: 'A key.' }),
});
const registry = defineConfig('registry', {
  url: setting(Type.String(), { description: 'Must be given.' }),
});

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'assay-config-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function fileWith(text: string): string {
  const path = join(dir, `${Math.random().toString(36).slice(2)}.yaml`);
  writeFileSync(path, text);
  return path;
}

function refusal(load: () => unknown): AssayError {
  try {
    load();
  } catch (error) {
    if (error instanceof AssayError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

describe('where a value comes from', () => {
  test('a flag beats the environment, which beats the file, which beats the default', () => {
    const file = fileWith('inference:\n  port: 3\n  maxQueueMs: 4\n  warm: false\n');
    const env = { ASSAY_INFERENCE_PORT: '2', ASSAY_INFERENCE_MAX_QUEUE_MS: '2.5' };
    const config = loadConfig(inference, { flags: { port: '1' }, env, file });
    expect(config).toMatchObject({ port: 1, maxQueueMs: 2.5, warm: false, isolation: 'thread', tags: [] });
  });

  test('the file may be named by ASSAY_CONFIG_FILE', () => {
    const env = { ASSAY_CONFIG_FILE: fileWith('inference: {port: 7}') };
    expect(loadConfig(inference, { env }).port).toBe(7);
  });

  test('text is read as the type that the schema wants', () => {
    const env = {
      ASSAY_INFERENCE_WARM: 'false',
      ASSAY_INFERENCE_TAGS: 'a, b',
      ASSAY_DATA_DIR: '123',
      ASSAY_INFERENCE_ISOLATION: 'process',
    };
    expect(loadConfig(inference, { env })).toMatchObject({
      warm: false,
      tags: ['a', 'b'],
      dataDir: '123',
      isolation: 'process',
    });
  });

  test('an empty variable counts as not set', () => {
    expect(loadConfig(inference, { env: { ASSAY_INFERENCE_PORT: '' } }).port).toBe(8102);
  });

  test('an optional setting that nobody gave is undefined', () => {
    expect(loadConfig(inference).dataDir).toBeUndefined();
  });

  test('several definitions load together, by section', () => {
    const configs = loadConfigs([inference, registry], {
      flags: { inference: { port: 0 } },
      env: { ASSAY_REGISTRY_URL: 'http://r' },
    });
    expect(configs.inference.port).toBe(0);
    expect(configs.registry.url).toBe('http://r');
  });
});

describe('what is refused', () => {
  test.each(['0x10', '1e', ' 1', '01', '1.5', 'NaN', '70000', '-1'])('the port %j', (port) => {
    const error = refusal(() => loadConfig(inference, { env: { ASSAY_INFERENCE_PORT: port } }));
    expect(error.code).toBe('INVALID_ARGUMENT');
    expect(error.message).toBe(
      `config: inference.port: ${JSON.stringify(port)} from environment ASSAY_INFERENCE_PORT is not an integer from 0 to 65535`,
    );
  });

  test('an unknown variable, with the nearest one', () => {
    const error = refusal(() => loadConfig(inference, { env: { ASSAY_INFERENCE_PROT: '1', OTHER: 'x' } }));
    expect(error.message).toContain(
      'unknown environment variable ASSAY_INFERENCE_PROT; did you mean ASSAY_INFERENCE_PORT?',
    );
    expect(error.details).toHaveLength(1);
  });

  test('an unknown key or section of the file, with its line and the nearest one', () => {
    const file = fileWith('# comment\ninference:\n  port: 1\n  isolatoin: thread\nregistri:\n  url: x\n');
    const error = refusal(() => loadConfigs([inference, registry], { file, env: { ASSAY_REGISTRY_URL: 'x' } }));
    expect(error.details.map(({ place, message }) => `${place}: ${message}`)).toEqual([
      `${file}:4: inference.isolatoin: unknown key isolatoin; did you mean isolation?`,
      `${file}:5: registri: unknown section registri; did you mean registry?`,
    ]);
  });

  test('an unknown flag, with the nearest one', () => {
    const error = refusal(() => loadConfig(inference, { flags: { prot: '1' } }));
    expect(error.message).toContain('unknown flag prot; did you mean port?');
  });

  test('a value of the wrong type in the file, which is not coerced, with its line', () => {
    const file = fileWith('inference:\n  warm: true\n  port: "8102"\n');
    const error = refusal(() => loadConfig(inference, { file }));
    expect(error.message).toBe(
      `config: inference.port: "8102" from ${file}:3: inference.port is not an integer from 0 to 65535`,
    );
  });

  test('a word that is none of the allowed ones, with the nearest', () => {
    const error = refusal(() => loadConfig(inference, { env: { ASSAY_INFERENCE_ISOLATION: 'proces' } }));
    expect(error.message).toContain(
      '"proces" from environment ASSAY_INFERENCE_ISOLATION is not one of thread, process; did you mean "process"?',
    );
  });

  test('a required setting that is missing, saying how to set it', () => {
    const error = refusal(() => loadConfig(registry));
    expect(error.message).toContain(
      'registry.url: is required; set ASSAY_REGISTRY_URL, or url under registry in the config file',
    );
  });

  test('everything that is wrong at once', () => {
    const env = { ASSAY_INFERENCE_PORT: 'x', ASSAY_INFERENCE_WARM: 'yes', ASSAY_NONSENSE: '1' };
    expect(refusal(() => loadConfig(inference, { env })).details).toHaveLength(3);
  });

  test('a config file that is missing, or no map', () => {
    expect(refusal(() => loadConfig(inference, { file: join(dir, 'absent.yaml') })).message).toMatch(
      /^there is no config file .*absent\.yaml$/,
    );
    expect(refusal(() => loadConfig(inference, { file: fileWith('- 1') })).message).toContain(':1: expected sections');
  });
});

test('names of definitions that are known elsewhere are no mistakes', () => {
  const file = fileWith('registry: {url: x}\n');
  const env = { ASSAY_REGISTRY_URL: 'x' };
  expect(refusal(() => loadConfig(inference, { env, file })).details).toHaveLength(2);
  expect(loadConfig(inference, { env, file, alsoKnown: [registry] }).port).toBe(8102);
});

describe('secrets', () => {
  test('print [secret] everywhere and give their value only when asked', () => {
    const config = loadConfig(inference, { env: { ASSAY_INFERENCE_API_KEY: 'hunter22' } });
    const shown = [
      inspect(config),
      JSON.stringify(config),
      `${config.apiKey}`,
      String(config.apiKey),
      inspect([config], { showHidden: true, depth: 9 }),
    ];
    for (const text of shown) {
      expect(text).toContain('[secret]');
      expect(text).not.toContain('hunter22');
    }
    expect(config.apiKey?.reveal()).toBe('hunter22');
  });

  test('come from a file that a variable names, without the last line break', () => {
    const path = fileWith('hunter22\n');
    expect(loadConfig(inference, { env: { ASSAY_INFERENCE_API_KEY_FILE: path } }).apiKey?.reveal()).toBe('hunter22');
  });

  test('are refused as flags, when given twice, and when their file is missing', () => {
    const env = { ASSAY_INFERENCE_API_KEY: 'hunter22', ASSAY_INFERENCE_API_KEY_FILE: fileWith('x') };
    expect(refusal(() => loadConfig(inference, { flags: { apiKey: 'hunter22' } })).message).toContain(
      'cannot be a flag',
    );
    expect(refusal(() => loadConfig(inference, { env })).message).toContain('set one');
    const absent = { ASSAY_INFERENCE_API_KEY_FILE: join(dir, 'absent') };
    expect(refusal(() => loadConfig(inference, { env: absent })).message).toContain('there is no file');
  });

  test('are not shown when they are wrong', () => {
    const error = refusal(() => loadConfig(inference, { env: { ASSAY_INFERENCE_API_KEY: 'abc' } }));
    expect(error.message).toContain('the secret from environment ASSAY_INFERENCE_API_KEY');
    expect(JSON.stringify([error.message, error.details])).not.toContain('abc');
  });
});

test('the table describes every setting', () => {
  const rows = describeConfig(inference);
  expect(rows.map((row) => row.environment)).toContain('ASSAY_INFERENCE_MAX_QUEUE_MS');
  expect(rows.find((row) => row.key === 'maxQueueMs')).toEqual({
    section: 'inference',
    key: 'maxQueueMs',
    environment: 'ASSAY_INFERENCE_MAX_QUEUE_MS',
    type: 'number of at least 0',
    default: 50,
    required: false,
    unit: 'ms',
    secret: false,
    description: 'The longest queue.',
  });
  expect(rows.find((row) => row.key === 'apiKey')).toMatchObject({
    secret: true,
    fileEnvironment: 'ASSAY_INFERENCE_API_KEY_FILE',
  });
});

test('a default that does not fit its own schema is a mistake of the declaration', () => {
  expect(() => setting(Type.Integer({ maximum: 1 }), { default: 2, description: '' })).toThrow('does not fit');
});
