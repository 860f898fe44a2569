/** The baseline of the HTTP benchmarks: a bare Fastify that parses a JSON body and sends it back. No schema, no model. */
import fastify from 'fastify';

const app = fastify();
app.post('/echo', async (request) => request.body);
console.log(await app.listen({ host: '127.0.0.1', port: 0 }));
process.on('SIGTERM', () => app.close());
