/**
 * What `assay serve` stands on and cannot do without, one part after another, doing nothing.
 *
 * node idle-server.ts node|fastify|session [MODEL_FILE]
 */
const [part, model = ''] = process.argv.slice(2);
if (part === 'session') {
  const { InferenceSession } = await import('onnxruntime-node');
  await InferenceSession.create(model, { intraOpNumThreads: 1 });
}
if (part === 'node') {
  console.log('ready');
  setInterval(() => undefined, 60_000);
} else {
  const { default: fastify } = await import('fastify');
  const app = fastify();
  app.get('/', async () => ({ name: 'idle' }));
  console.log(await app.listen({ host: '127.0.0.1', port: 0 }));
}
