/** Where the routes of a model are, and who may call those that only look. */
import Type from 'typebox';

export const tags = ['open inference protocol'];
/** Who may score a model may see what it takes. */
export const SEEN = { access: ['score', 'read'], takesUnknownQuery: true } as const;
export const modelParams = Type.Object({ model: Type.String() }, { additionalProperties: false });
const versionParams = Type.Object({ model: Type.String(), version: Type.String() }, { additionalProperties: false });
/** Each route once for the endpoint as it routes, once for a version of it. */
export const PATHS = [
  { path: '/v2/models/:model', params: modelParams },
  { path: '/v2/models/:model/versions/:version', params: versionParams },
] as const;
