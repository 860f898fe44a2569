export * from './auc-interval.ts';
export * from './classification-metrics.ts';
export * from './histogram.ts';
export * from './normal.ts';
export * from './quantiles.ts';
export * from './random.ts';
