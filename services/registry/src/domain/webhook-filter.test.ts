import { newEvent } from '@assay/events';
import { describe, expect, it } from 'vitest';
import { aboutOf, isWanted, orderKeyOf } from './webhook-filter.ts';

function event(type: string, subject: string, data: unknown) {
  return newEvent({ source: '/assay/registry', type, subject, sequence: 1, data });
}

const moved = event('assay.model.alias-moved.v1', 'mdl_1', { id: 'mdl_1', name: 'm' });
const registered = event('assay.version.registered.v1', 'ver_1', { id: 'ver_1', modelId: 'mdl_1' });
const endpoint = event('assay.endpoint.moved.v1', 'ept_1', {
  variants: [{ versionId: 'ver_1', weight: 10_000 }],
  follow: { modelId: 'mdl_1', alias: 'champion' },
});
const table = event('assay.dataset-version.registered.v1', 'ds_1', { id: 'ds_1', datasetId: 'dat_1' });

describe('an event', () => {
  it('waits behind those of its model, its dataset or its endpoint', () => {
    expect([moved, registered, endpoint, table].map(orderKeyOf)).toEqual(['mdl_1', 'mdl_1', 'ept_1', 'dat_1']);
  });

  it('is about models, and of an endpoint about those of its versions too', () => {
    expect(aboutOf(moved)).toEqual({ models: ['mdl_1'], versions: [] });
    expect(aboutOf(registered)).toEqual({ models: ['mdl_1'], versions: [] });
    expect(aboutOf(endpoint)).toEqual({ models: ['mdl_1'], versions: ['ver_1'] });
    expect(aboutOf(table)).toEqual({ models: [], versions: [] });
  });

  it('is heard of by those who ask for its type and one of its models, or for all', () => {
    const about = ['mdl_1', 'mdl_2'];
    expect(isWanted({ events: [], models: [] }, table, [])).toBe(true);
    expect(isWanted({ events: [moved.type], models: ['mdl_2'] }, moved, about)).toBe(true);
    expect(isWanted({ events: [registered.type], models: [] }, moved, about)).toBe(false);
    expect(isWanted({ events: [], models: ['mdl_3'] }, moved, about)).toBe(false);
    expect(isWanted({ events: [], models: ['mdl_1'] }, table, [])).toBe(false);
  });
});
