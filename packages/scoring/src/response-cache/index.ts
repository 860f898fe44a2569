export { CacheBudget } from './cache-budget.ts';
export { ResponseCache, type ResponseCacheOptions } from './response-cache.ts';
export type { CacheRules, CacheWatcher, EvictionReason, VersionCache } from './version-cache.ts';
