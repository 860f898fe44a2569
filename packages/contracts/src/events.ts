/** CloudEvents 1.0 (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md) and the topics of Assay. */
import Type from 'typebox';

/**
 * The envelope of every event. `subject` is the resource id and the ordering key; `sequence` is the resource's revision,
 * so that a consumer drops what is older than what it has. Unknown attributes are kept: events are read tolerantly.
 */
export const Event = Type.Object(
  {
    specversion: Type.Literal('1.0'),
    id: Type.String({ minLength: 1, description: 'Unique with `source`; a consumer that saw it drops it.' }),
    source: Type.String({ minLength: 1, description: 'The service: `/assay/registry`.' }),
    type: Type.String({ minLength: 1, description: '`assay.model.version-registered.v1`' }),
    subject: Type.String({
      minLength: 1,
      description: 'The id of the resource; events of one subject keep their order.',
    }),
    time: Type.String({ description: 'RFC 3339.' }),
    datacontenttype: Type.Optional(Type.Literal('application/json')),
    sequence: Type.Integer({ minimum: 0, description: "The resource's revision." }),
    traceparent: Type.Optional(Type.String({ description: 'W3C trace context of the change.' })),
    tracestate: Type.Optional(Type.String()),
    data: Type.Unknown({ description: 'The whole resource as it is after the change.' }),
  },
  { $id: 'Event' },
);
export type Event = Type.Static<typeof Event>;

export const TOPICS = {
  models: 'assay.models.v1',
  jobs: 'assay.jobs.v1',
  predictions: 'assay.predictions.v1',
  outcomes: 'assay.outcomes.v1',
  monitoring: 'assay.monitoring.v1',
  audit: 'assay.audit.v1',
} as const;
export type Topic = (typeof TOPICS)[keyof typeof TOPICS];
