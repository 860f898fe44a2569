/**
 * assay.json: what a version is. Written strictly (an unknown key is a mistake of ours) and read tolerantly (a key that a
 * later producer added is kept and ignored), except inside the signature, where a key that we do not know could change
 * what a record means.
 */
import { AssayError, parse, Sha256, Signature } from '@assay/contracts';
import Type from 'typebox';
import { parseExactJson, stringifyExactJson } from './exact-json.ts';

/** Raised when a reader of an older version would misunderstand the file; adding optional keys does not raise it. */
export const FORMAT_VERSION = 1;

const Scalar = Type.Union([Type.String(), Type.Number(), Type.Boolean()]);

/** The same schemas twice: with and without room for unknown keys. */
function schemas(options: { additionalProperties: boolean }) {
  const FeatureProfile = Type.Object(
    {
      count: Type.Integer({ minimum: 0, description: 'Rows, missing ones included.' }),
      missing: Type.Integer({ minimum: 0 }),
      distinct: Type.Optional(Type.Integer({ minimum: 0 })),
      min: Type.Optional(Type.Number()),
      max: Type.Optional(Type.Number()),
      mean: Type.Optional(Type.Number()),
      standardDeviation: Type.Optional(Type.Number({ minimum: 0 })),
      quantiles: Type.Optional(
        Type.Record(Type.String(), Type.Number(), { description: 'Probability as a decimal (`0.5`) → value.' }),
      ),
      histogram: Type.Optional(
        Type.Object(
          {
            edges: Type.Array(Type.Number(), { minItems: 2, maxItems: 1001 }),
            counts: Type.Array(Type.Integer({ minimum: 0 }), {
              minItems: 1,
              maxItems: 1000,
              description: 'One fewer than the edges; a value on an inner edge counts to its right.',
            }),
          },
          options,
        ),
      ),
      topCategories: Type.Optional(
        Type.Array(Type.Object({ value: Scalar, count: Type.Integer({ minimum: 0 }) }, options), {
          maxItems: 1000,
          description: 'The most frequent values, most frequent first.',
        }),
      ),
    },
    options,
  );
  const Profile = Type.Object(
    {
      rows: Type.Integer({ minimum: 0 }),
      features: Type.Record(Type.String(), FeatureProfile),
      target: Type.Optional(FeatureProfile),
    },
    { ...options, description: 'The training rows, as the reference for drift.' },
  );
  const Golden = Type.Object(
    {
      source: Type.Enum(['training', 'example', 'synthetic'], {
        description:
          '`synthetic`: made from the signature by a seeded generator, for models that came without records.',
      }),
      records: Type.Array(Type.Record(Type.String(), Type.Unknown()), { minItems: 1, maxItems: 10_000 }),
      outputs: Type.Array(Type.Record(Type.String(), Type.Unknown()), {
        minItems: 1,
        maxItems: 10_000,
        description: 'What each record gives, in the form of the scoring door.',
      }),
      tolerance: Type.Object(
        { absolute: Type.Number({ minimum: 0 }), relative: Type.Number({ minimum: 0 }) },
        { ...options, description: 'A number may differ by absolute + relative × |expected|; nothing else may.' },
      ),
    },
    options,
  );
  const Lineage = Type.Object(
    {
      datasetSha256s: Type.Array(Sha256, { maxItems: 10_000, description: 'Of each file that was read.' }),
      dataset: Type.Optional(
        Type.Object(
          { id: Type.String(), name: Type.String(), version: Type.Integer({ minimum: 1 }), digest: Sha256 },
          { ...options, description: 'The registered dataset version that it was trained on.' },
        ),
      ),
      parents: Type.Optional(
        Type.Array(Sha256, {
          maxItems: 100,
          description: 'The digests of the versions that it was made from: fine-tuned, distilled, calibrated anew.',
        }),
      ),
      specSha256: Type.Optional(Sha256),
      specSource: Type.Optional(
        Type.Object(
          { name: Type.String(), revision: Type.Integer({ minimum: 1 }) },
          {
            ...options,
            description: 'Where the registry kept the spec: the name and revision that the job was made from.',
          },
        ),
      ),
      codeVersion: Type.Optional(Type.String()),
      codeCommit: Type.Optional(Type.String({ description: 'The git commit of the code that made it.' })),
      seed: Type.Optional(Type.Integer()),
      libraries: Type.Record(Type.String(), Type.String(), { description: 'Library → version.' }),
      metrics: Type.Record(Type.String(), Type.Number(), { description: 'Of the test rows.' }),
      baseline: Type.Optional(
        Type.Record(Type.String(), Type.Number(), { description: 'The same metrics of the trivial baseline.' }),
      ),
      parity: Type.Optional(
        Type.Object(
          {
            rows: Type.Integer({ minimum: 1 }),
            maxDifference: Type.Number({ minimum: 0 }),
            tolerance: Type.Number({ minimum: 0 }),
          },
          { ...options, description: "How far the graph was from its trainer's own predictions, on the test rows." },
        ),
      ),
      jobId: Type.Optional(Type.String()),
      origin: Type.Optional(Type.String({ description: 'Where the data or the model came from, in words.' })),
      licence: Type.Optional(Type.String()),
    },
    options,
  );
  const Calibration = Type.Object(
    {
      method: Type.Enum(['none', 'platt', 'isotonic'], { description: 'What the graph applies to the raw score.' }),
      expectedCalibrationError: Type.Optional(Type.Number({ minimum: 0 })),
      bins: Type.Optional(
        Type.Array(
          Type.Object(
            { predicted: Type.Number(), observed: Type.Number(), count: Type.Integer({ minimum: 0 }) },
            options,
          ),
          { maxItems: 1000 },
        ),
      ),
    },
    options,
  );
  const Composed = Type.Object(
    {
      parts: Type.Array(
        Type.Object(
          {
            step: Type.String(),
            model: Type.String({ description: 'Its name when it was composed.' }),
            version: Type.Integer({ minimum: 1 }),
            versionId: Type.String(),
            digest: Sha256,
          },
          options,
        ),
        { minItems: 1, maxItems: 100 },
      ),
      steps: Type.Record(Type.String(), Type.Unknown(), { description: 'As the composition was written down.' }),
      outputs: Type.Record(Type.String(), Type.String()),
      graphs: Type.Array(Type.Array(Type.String()), {
        description: 'The steps of each graph; several are run one after another.',
      }),
      apart: Type.Optional(Type.String({ description: 'Why there are several graphs.' })),
    },
    { ...options, description: 'Of a version that was composed of others.' },
  );
  const Manifest = Type.Object(
    {
      formatVersion: Type.Integer({ minimum: 1 }),
      producer: Type.Object({ name: Type.String({ minLength: 1 }), version: Type.String() }, options),
      createdAt: Type.String({
        pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(\\.\\d{1,6})?Z$',
        description: 'RFC 3339, UTC.',
      }),
      description: Type.Optional(Type.String({ maxLength: 10_000 })),
      signature: Signature,
      profile: Type.Optional(Profile),
      golden: Golden,
      lineage: Lineage,
      calibration: Type.Optional(Calibration),
      composition: Type.Optional(Composed),
      files: Type.Record(
        Type.String(),
        Type.Object({ sha256: Sha256, sizeBytes: Type.Integer({ minimum: 0 }) }, options),
        {
          description: 'Every file of the package but assay.json itself, whose digest is the digest of the package.',
        },
      ),
    },
    { ...options, $id: 'AssayManifest' },
  );
  return { FeatureProfile, Profile, Golden, Lineage, Calibration, Composed, Manifest };
}

const strict = schemas({ additionalProperties: false });
const tolerant = schemas({ additionalProperties: true });

/** The schema that writers are held to, and the source of the documentation. */
export const AssayManifest = strict.Manifest;
export type AssayManifest = Type.Static<typeof strict.Manifest>;
export type FeatureProfile = Type.Static<typeof strict.FeatureProfile>;
export type Profile = Type.Static<typeof strict.Profile>;
export type Golden = Type.Static<typeof strict.Golden>;
export type Lineage = Type.Static<typeof strict.Lineage>;
export type Calibration = Type.Static<typeof strict.Calibration>;
export type Composed = Type.Static<typeof strict.Composed>;

/**
 * The text of assay.json. Keys keep the order in which they are given; int64 values keep all their digits.
 * @throws AssayError INVALID_ARGUMENT with the places that are wrong, unknown keys included
 */
export function writeManifest(manifest: AssayManifest): string {
  checkConsistency(parse(AssayManifest, manifest, 'assay.json'), 'INVALID_ARGUMENT');
  return `${stringifyExactJson(manifest, 2)}\n`;
}

/**
 * The manifest in the text of an assay.json. Integers beyond 2^53 in golden records are bigints.
 * @throws AssayError UNPROCESSABLE_MODEL: not JSON, a newer format version, or places that are wrong
 */
export function readManifest(text: string): AssayManifest {
  let value: unknown;
  let exact: unknown;
  try {
    value = JSON.parse(text);
    exact = parseExactJson(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AssayError('UNPROCESSABLE_MODEL', `assay.json is not JSON: ${reason}`, { cause });
  }
  const version = formatVersionOf(value);
  if (version !== undefined && version > FORMAT_VERSION) {
    throw new AssayError(
      'UNPROCESSABLE_MODEL',
      `assay.json has format version ${version}, this Assay reads up to ${FORMAT_VERSION}: use a newer Assay`,
    );
  }
  let manifest: AssayManifest;
  try {
    manifest = parse(tolerant.Manifest, value, 'assay.json');
  } catch (cause) {
    const error = AssayError.from(cause);
    throw new AssayError('UNPROCESSABLE_MODEL', `assay.json is not valid: ${error.message}`, {
      details: error.details,
      cause,
    });
  }
  checkConsistency(manifest, 'UNPROCESSABLE_MODEL');
  const golden = (exact as AssayManifest).golden; // the same text, checked above; only long integers differ
  return { ...manifest, golden };
}

function formatVersionOf(value: unknown): number | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const version = (value as { formatVersion?: unknown }).formatVersion; // an object; a missing key is undefined
  return typeof version === 'number' ? version : undefined;
}

/** What a schema cannot say. */
function checkConsistency(manifest: AssayManifest, code: 'INVALID_ARGUMENT' | 'UNPROCESSABLE_MODEL'): void {
  const fail = (message: string): never => {
    throw new AssayError(code, `assay.json is not valid: ${message}`);
  };
  const { golden, profile, signature } = manifest;
  if (golden.records.length !== golden.outputs.length) {
    fail(`golden has ${golden.records.length} records and ${golden.outputs.length} outputs; each record needs its own`);
  }
  for (const [kind, names] of [
    ['feature', signature.features.map((feature) => feature.name)],
    ['output', signature.outputs.map((output) => output.name)],
  ] as const) {
    const twice = names.find((name, i) => names.indexOf(name) !== i);
    if (twice !== undefined) fail(`the signature names ${kind} ${JSON.stringify(twice)} twice`);
  }
  for (const [name, feature] of Object.entries(profile?.features ?? {})) {
    const { histogram } = feature;
    if (histogram !== undefined && histogram.edges.length !== histogram.counts.length + 1) {
      fail(`the histogram of ${JSON.stringify(name)} needs one edge more than it has counts`);
    }
  }
}
