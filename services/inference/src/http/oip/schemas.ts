/**
 * The wire forms of the Open Inference Protocol v2 (REST), for its documentation; requests are read by
 * read-infer-request.ts. https://github.com/open-inference/open-inference-protocol
 */
import Type from 'typebox';

const open = { additionalProperties: true } as const;
const Parameters = Type.Optional(Type.Object({}, { ...open, description: 'Extensions; unknown ones are ignored.' }));
const Shape = Type.Array(Type.Integer());
const Data = Type.Array(Type.Unknown(), { description: 'Flat or nested as the shape says; null is NaN.' });

export const OipError = Type.Object({ error: Type.String() }, { $id: 'OipError', additionalProperties: false });

export const ServerMetadata = Type.Object(
  { name: Type.String(), version: Type.String(), extensions: Type.Array(Type.String()) },
  { $id: 'OipServerMetadata', additionalProperties: false },
);
export const ServerLive = Type.Object({ live: Type.Boolean() }, { $id: 'OipServerLive', additionalProperties: false });
export const ServerReady = Type.Object(
  { ready: Type.Boolean() },
  { $id: 'OipServerReady', additionalProperties: false },
);
export const ModelList = Type.Object(
  { models: Type.Array(Type.String()) },
  { $id: 'OipModelList', additionalProperties: false },
);
export const ModelReady = Type.Object(
  { name: Type.String(), ready: Type.Boolean() },
  { $id: 'OipModelReady', additionalProperties: false },
);

const TensorMetadata = Type.Object(
  { name: Type.String(), datatype: Type.String(), shape: Shape },
  { $id: 'OipTensorMetadata', additionalProperties: false },
);
export const ModelMetadata = Type.Object(
  {
    name: Type.String(),
    versions: Type.Array(Type.String()),
    platform: Type.String(),
    inputs: Type.Array(TensorMetadata),
    outputs: Type.Array(TensorMetadata),
  },
  { $id: 'OipModelMetadata', additionalProperties: false },
);

export const InferRequestBody = Type.Object(
  {
    id: Type.Optional(Type.String()),
    parameters: Parameters,
    inputs: Type.Array(
      Type.Object(
        { name: Type.String(), shape: Shape, datatype: Type.String(), parameters: Parameters, data: Data },
        { additionalProperties: false },
      ),
      { minItems: 1 },
    ),
    outputs: Type.Optional(
      Type.Array(Type.Object({ name: Type.String(), parameters: Parameters }, { additionalProperties: false })),
    ),
  },
  { $id: 'OipInferRequest', additionalProperties: false },
);
export const InferResponseBody = Type.Object(
  {
    model_name: Type.String(),
    model_version: Type.String(),
    id: Type.Optional(Type.String()),
    outputs: Type.Array(
      Type.Object(
        { name: Type.String(), datatype: Type.String(), shape: Shape, data: Data },
        { additionalProperties: false },
      ),
    ),
  },
  { $id: 'OipInferResponse', additionalProperties: false },
);

const Duration = Type.Object(
  { count: Type.Integer(), ns: Type.Integer() },
  { additionalProperties: false, description: 'How often, and how long in all.' },
);
export const ModelStatistics = Type.Object(
  {
    model_stats: Type.Array(
      Type.Object(
        {
          name: Type.String(),
          version: Type.String(),
          last_inference: Type.Integer({ description: 'Milliseconds since 1970; 0 before the first.' }),
          inference_count: Type.Integer({ description: 'Rows that were scored.' }),
          execution_count: Type.Integer({ description: 'Runs of the model.' }),
          inference_stats: Type.Object(
            {
              success: Duration,
              fail: Duration,
              queue: Duration,
              compute_input: Duration,
              compute_infer: Duration,
              compute_output: Duration,
              cache_hit: Duration,
              cache_miss: Duration,
            },
            { additionalProperties: false },
          ),
          batch_stats: Type.Array(Type.Unknown(), { description: 'Not kept.' }),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { $id: 'OipModelStatistics', additionalProperties: false },
);

const ConfigTensor = Type.Object(
  { name: Type.String(), data_type: Type.String(), dims: Shape },
  { additionalProperties: false },
);
export const ModelConfig = Type.Object(
  {
    name: Type.String(),
    platform: Type.String(),
    backend: Type.String(),
    max_batch_size: Type.Integer(),
    input: Type.Array(ConfigTensor),
    output: Type.Array(ConfigTensor),
  },
  { $id: 'OipModelConfig', additionalProperties: false },
);

export const RepositoryIndexRequest = Type.Object(
  { ready: Type.Optional(Type.Boolean({ description: 'Only those that serve.' })) },
  { $id: 'OipRepositoryIndexRequest', additionalProperties: false },
);
export const RepositoryIndex = Type.Array(
  Type.Object(
    {
      name: Type.String(),
      version: Type.Optional(Type.String()),
      state: Type.Enum(['READY', 'UNAVAILABLE']),
      reason: Type.String({ description: 'Why it does not serve; empty where it does.' }),
    },
    { additionalProperties: false },
  ),
  { $id: 'OipRepositoryIndex' },
);
