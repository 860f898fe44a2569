/** For scopes whose routes read their bodies themselves. */
import type { Readable } from 'node:stream';
import type { App } from './app.ts';

/**
 * Within `scope` (a registered plugin, so that other routes are not concerned) a JSON body is handed to the handler as
 * the bytes that arrived, a `Buffer`: for handlers with a reader of their own. `parseJson` reads them as elsewhere.
 * @param contentTypes `application/json` alone unless given; `*` takes any and none
 */
export function acceptRawJson(scope: App, contentTypes: readonly string[] = ['application/json']): void {
  for (const contentType of contentTypes) {
    if (scope.hasContentTypeParser(contentType)) scope.removeContentTypeParser(contentType);
    scope.addContentTypeParser(contentType, { parseAs: 'buffer' }, (_request, bytes, done) => done(null, bytes));
  }
}

/**
 * Within `scope` a body of these types is handed to the handler as a stream, which reads it, counts it and bounds it:
 * the app's `bodyBytes` limit does not hold for it.
 */
export function acceptStreams(scope: App, contentTypes: readonly string[]): void {
  scope.addContentTypeParser([...contentTypes], (_request, payload: Readable, done) => done(null, payload));
}
