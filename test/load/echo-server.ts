/**
 * The baseline of the HTTP benchmarks: a bare Fastify that parses a JSON body and sends it back. No schema, no model.
 *
 * node echo-server.ts [CERT_FILE KEY_FILE]
 */
import { readFileSync } from 'node:fs';
import fastify from 'fastify';

const [certFile, keyFile] = process.argv.slice(2);
const isTls = certFile !== undefined && keyFile !== undefined;
const app = fastify({ https: isTls ? { cert: readFileSync(certFile), key: readFileSync(keyFile) } : null });
app.post('/echo', async (request) => request.body);
app.get('/echo', async () => ({ name: 'echo' }));
console.log(await app.listen({ host: '127.0.0.1', port: 0 }));
process.on('SIGTERM', () => app.close());
