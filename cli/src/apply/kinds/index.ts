/** Every kind, in the order of dependence: what is made of one may be named by those behind it. */
import type { Kind } from '../kind.ts';
import { aliasKind } from './alias.ts';
import { endpointKind } from './endpoint.ts';
import { gatesKind } from './gates.ts';
import { keyKind } from './key.ts';
import { modelKind } from './model.ts';
import { pipelineKind } from './pipeline.ts';
import { principalKind } from './principal.ts';
import { trainingSpecKind } from './training-spec.ts';
import { webhookKind } from './webhook.ts';

export const KINDS: readonly Kind[] = [
  modelKind,
  gatesKind,
  aliasKind,
  endpointKind,
  pipelineKind,
  trainingSpecKind,
  webhookKind,
  principalKind,
  keyKind,
];
