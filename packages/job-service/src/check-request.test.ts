import { loadConfig } from '@assay/runtime';
import { describe, expect, test } from 'vitest';
import { checkRequest } from './check-request.ts';
import { type JobServiceConfig, launcherChoice } from './config.ts';
import { type Sums, sumsConfig, sumsKind } from './testing/sums.ts';

const kind = sumsKind();

function problems(spec: Sums['spec'], { baseDir, ...flags }: { baseDir?: string; launcher?: string } = {}) {
  try {
    const request = { spec, ...(baseDir === undefined ? {} : { baseDir }) };
    return checkRequest(kind, request, loadConfig(sumsConfig, { flags }));
  } catch (error) {
    return error;
  }
}

describe('a request for a job', () => {
  test('gives the folder that relative paths start from', () => {
    expect(problems({ numbers: [1], path: 'a.csv' }, { baseDir: '/data' })).toBe('/data');
    expect(problems({ numbers: [1], path: '/a.csv' })).toBe('/');
  });

  test('is refused with every place that is wrong, those of its kind too', () => {
    expect(problems({ numbers: [], path: 'a\0' }, { baseDir: 'data' })).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: 'spec.numbers: is empty (and 2 more)',
      details: [{ place: 'spec.numbers' }, { place: 'baseDir' }, { place: 'spec.path' }],
    });
    expect(problems({ numbers: [1], path: 'a.csv' })).toMatchObject({
      details: [{ place: 'spec.path', message: '"a.csv" is relative and there is no baseDir' }],
    });
  });

  test('names no path where jobs run on Kubernetes, and hears what to name instead', () => {
    const refused = problems({ numbers: [1], path: '/a.csv' }, { launcher: 'kubernetes' });
    expect(refused).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: 'spec.path: jobs run on Kubernetes, where no file of this machine is; name a dataset',
    });
    expect(problems({ numbers: [1] }, { launcher: 'kubernetes' })).toBe('/');
  });
});

describe('the launcher', () => {
  const choice = (flags: Partial<JobServiceConfig>) => () =>
    launcherChoice(sumsConfig, loadConfig(sumsConfig, { flags }));
  const jobsFile = '/etc/assay/jobs.yaml';
  const publicUrl = 'http://assay-sums.assay.svc:8999/';

  test('is that of child processes where nothing is said', () => {
    expect(choice({})()).toEqual({ launcher: 'process' });
  });

  test('is Kubernetes with all that it needs, and else the missing setting is named', () => {
    expect(choice({ launcher: 'kubernetes', jobsFile, publicUrl })()).toEqual({
      launcher: 'kubernetes',
      jobsFile,
      publicUrl: 'http://assay-sums.assay.svc:8999',
    });
    expect(choice({ launcher: 'kubernetes', publicUrl })).toThrow(
      'launcher kubernetes (ASSAY_SUMS_LAUNCHER) needs jobsFile: set ASSAY_SUMS_JOBS_FILE to',
    );
    expect(choice({ launcher: 'kubernetes', jobsFile })).toThrow('needs publicUrl: set ASSAY_SUMS_PUBLIC_URL to');
  });
});
