/** Who has no token in MLflow has a user and a password (`MLFLOW_TRACKING_PASSWORD`): the password is then the key. */
import type { Access } from '@assay/http';

const BASIC = /^Basic +([A-Za-z0-9+/]+=*)$/i;

/** Reads the password of basic authentication as the key; the user's name says nothing. */
export function withBasicPassword(access: Access): Access {
  return {
    isRequired: access.isRequired,
    held: () => access.held(),
    ready: () => access.ready(),
    check: (call, needed, endpoint) =>
      access.check({ ...call, authorizations: call.authorizations.map(asBearer) }, needed, endpoint),
  };
}

function asBearer(authorization: string): string {
  const encoded = BASIC.exec(authorization)?.[1];
  if (encoded === undefined) return authorization;
  const pair = Buffer.from(encoded, 'base64').toString();
  return `Bearer ${pair.slice(pair.indexOf(':') + 1)}`;
}
