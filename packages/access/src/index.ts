export { type AccessConfig, type OpenAccess, type OpenAccessOptions, openAccess } from './open-access.ts';
