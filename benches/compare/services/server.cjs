// The service in Node, with fastify and pg: `node server.cjs URL`, with the packages in NODE_PATH.
'use strict';
const { createHash, createHmac, timingSafeEqual } = require('node:crypto');
const fastify = require('fastify');
const { Pool } = require('pg');

const SECRET = 'whsec_0123456789abcdef';
const pool = new Pool({ connectionString: process.argv[2], max: 10, idleTimeoutMillis: 0 });
const app = fastify({ bodyLimit: 1 << 20 });

// The signature is that of the bytes as they came.
app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));

function isSigned(header, body) {
  if (typeof header !== 'string' || !/^sha256=[0-9a-f]{64}$/.test(header)) return false;
  const computed = createHmac('sha256', SECRET).update(body).digest();
  return timingSafeEqual(computed, Buffer.from(header.slice('sha256='.length), 'hex'));
}

// The key and the effect in one transaction.
async function handle(key, { jobId, result }) {
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    const insert = { name: 'key', text: 'INSERT INTO inbox VALUES ($1, now()) ON CONFLICT DO NOTHING', values: [key] };
    if ((await client.query(insert)).rowCount === 1) {
      const values = [jobId, result.total_price];
      await client.query({ name: 'effect', text: 'INSERT INTO effects VALUES ($1, $2)', values });
    }
    await client.query('COMMIT');
    client.release();
  } catch (error) {
    // The connection may be in a transaction: it is closed.
    client.release(error);
    throw error;
  }
}

app.post('/webhook', async (request, reply) => {
  const body = request.body;
  if (!isSigned(request.headers['x-webhook-signature'], body)) return reply.code(401).send();
  const { event, data } = JSON.parse(body);
  if (event !== 'quote.completed' || typeof data?.result?.total_price !== 'number') return reply.code(422).send();
  await handle(`quote3d:sha256:${createHash('sha256').update(body).digest('hex')}`, data);
  return reply.code(200).send();
});
app.get('/', async () => 'ready');

app.listen({ host: '127.0.0.1', port: 0 }).then((address) => console.log(`listening on ${address}`));
