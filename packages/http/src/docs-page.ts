/** `/docs`: the OpenAPI document as a page to read and to try; everything comes from this process, nothing from elsewhere. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { AssayError } from '@assay/contracts';
import type { App } from './app.ts';

/** The files of Swagger UI that the page uses; no other name is looked up. */
const FILES: Readonly<Record<string, string>> = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
  'favicon-32x32.png': 'image/png',
};

/** Swagger UI sets style attributes and draws its icons from data: URLs; scripts come from here alone. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const START_SCRIPT = `window.addEventListener('load', () => {
  SwaggerUIBundle({ url: '/openapi.json', dom_id: '#docs', deepLinking: true, validatorUrl: null });
});
`;

export function addDocsPage(app: App, title: string): void {
  const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<link rel="icon" type="image/png" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<noscript>This page needs JavaScript; the document itself is <a href="/openapi.json">/openapi.json</a>.</noscript>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
`;
  const hidden = { schema: { hide: true }, config: { access: 'public' } } as const;
  app.get('/docs', hidden, (_request, reply) =>
    reply.header('content-security-policy', CONTENT_SECURITY_POLICY).type('text/html; charset=utf-8').send(page),
  );
  app.get('/docs/start.js', hidden, (_request, reply) =>
    reply.type('text/javascript; charset=utf-8').send(START_SCRIPT),
  );
  for (const [name, contentType] of Object.entries(FILES)) {
    app.get(`/docs/${name}`, hidden, async (_request, reply) => {
      reply.type(contentType).header('cache-control', 'public, max-age=3600');
      return readDocsFile(name);
    });
  }
}

async function readDocsFile(name: string): Promise<Buffer> {
  try {
    const folder = dirname(createRequire(import.meta.url).resolve('@fastify/swagger-ui/package.json'));
    return await readFile(join(folder, 'static', name));
  } catch (error) {
    const message = 'the documentation page is not part of this installation; GET /openapi.json has the document';
    throw new AssayError('NOT_FOUND', message, { cause: error });
  }
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
