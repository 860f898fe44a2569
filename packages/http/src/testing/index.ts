export { type OpenApiRules, openApiViolations } from './openapi-rules.ts';
export { type SchemathesisOptions, schemathesisFindings } from './schemathesis.ts';
