// The SDKs from npm, as a process: a question a line in, an answer a line out.
// A delivery's headers arrive as Node's HTTP server shows them: a header that is repeated is joined by ", ".
import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

import { LinearWebhookClient } from '@linear/sdk/webhooks'
import { Webhooks as Octokit } from '@octokit/webhooks'
import * as octokitMethods from '@octokit/webhooks-methods'
import { Paddle } from '@paddle/paddle-node-sdk'
import '@shopify/shopify-api/adapters/node'
import { ApiVersion, shopifyApi } from '@shopify/shopify-api'
import bolt from '@slack/bolt'
import { WebhooksHelper } from 'square'
import { Webhook as StandardWebhook } from 'standardwebhooks'
import Stripe from 'stripe'
import { Webhook as SvixWebhook } from 'svix'

const stripe = new Stripe('sk_test_not_used')
const paddle = new Paddle('not_used')

/** An SDK whose answer is a boolean or a rejected promise. */
const must = async (answer) => {
  if ((await answer) !== true) throw new Error('refused')
}

const standard = (Webhook, family) => ({
  sign: ({ secret, body, id, time }) => ({
    [`${family}-id`]: id,
    [`${family}-timestamp`]: String(time),
    [`${family}-signature`]: new Webhook(secret).sign(id, new Date(time * 1000), body),
  }),
  verify: ({ secret, body, headers }) => new Webhook(secret).verify(body, headers),
})

const sdks = {
  standardwebhooks: standard(StandardWebhook, 'webhook'),
  svix: standard(SvixWebhook, 'svix'),
  stripe: {
    sign: ({ secret, body, time }) => ({
      'stripe-signature': stripe.webhooks.generateTestHeaderString({ payload: body, secret, timestamp: time }),
    }),
    verify: ({ secret, body, headers }) =>
      stripe.webhooks.constructEvent(body, headers['stripe-signature'], secret),
  },
  '@octokit/webhooks-methods': {
    sign: async ({ secret, body }) => ({ 'x-hub-signature-256': await octokitMethods.sign(secret, body) }),
    verify: ({ secret, body, headers }) =>
      must(octokitMethods.verify(secret, body, headers['x-hub-signature-256'])),
  },
  '@octokit/webhooks': {
    sign: async ({ secret, body }) => ({ 'x-hub-signature-256': await new Octokit({ secret }).sign(body) }),
    verify: ({ secret, body, headers }) =>
      new Octokit({ secret, log: { error() {}, warn() {}, info() {}, debug() {} } }).verifyAndReceive({
        id: 'delivery', name: 'push', payload: body, signature: headers['x-hub-signature-256'],
      }),
  },
  '@shopify/shopify-api': {
    verify: async ({ secret, body, headers }) => {
      const shopify = shopifyApi({
        apiKey: 'key', apiSecretKey: secret, hostName: 'example.org', isEmbeddedApp: false,
        apiVersion: Object.values(ApiVersion).at(-1), logger: { log() {} },
      })
      // The unsigned headers that the SDK asks for.
      const unsigned = {
        'x-shopify-shop-domain': 'example.myshopify.com', 'x-shopify-api-version': '2026-10',
        'x-shopify-webhook-id': 'id', 'x-shopify-topic': 'orders/paid',
        'shopify-shop-domain': 'example.myshopify.com', 'shopify-api-version': '2026-10',
        'shopify-webhook-id': 'id', 'shopify-topic': 'orders/paid',
      }
      const rawRequest = { method: 'POST', url: '/', headers: { ...unsigned, ...headers } }
      const { valid } = await shopify.webhooks.validate({ rawBody: body, rawRequest, rawResponse: {} })
      await must(valid)
    },
  },
  '@slack/bolt': {
    verify: ({ secret, body, headers }) =>
      bolt.HTTPModuleFunctions.parseAndVerifyHTTPRequest(
        { signingSecret: secret }, { headers, rawBody: Buffer.from(body) }, {},
      ),
  },
  '@paddle/paddle-node-sdk': {
    verify: ({ secret, body, headers }) =>
      must(paddle.webhooks.isSignatureValid(body, secret, headers['paddle-signature'])),
  },
  '@linear/sdk': {
    verify: ({ secret, body, headers }) =>
      must(new LinearWebhookClient(secret).verify(Buffer.from(body), headers['linear-signature'])),
  },
  square: {
    verify: ({ secret, body, headers, url }) =>
      must(WebhooksHelper.verifySignature({
        requestBody: body, signatureHeader: headers['x-square-hmacsha256-signature'],
        signatureKey: secret, notificationUrl: url,
      })),
  },
  // Zoom has no library for this. Its documentation hashes the body after it was parsed and written again.
  "zoom's documentation": {
    sign: ({ secret, body, time }) => ({
      'x-zm-request-timestamp': String(time), 'x-zm-signature': zoom(secret, time, body),
    }),
    verify: ({ secret, body, headers }) =>
      must(headers['x-zm-signature'] === zoom(secret, headers['x-zm-request-timestamp'], body)),
  },
}

function zoom(secret, time, body) {
  const message = ['v0', time, JSON.stringify(JSON.parse(body))].join(':')
  return 'v0=' + createHmac('sha256', secret).update(message).digest('hex')
}

function version(sdk) {
  const manifest = new URL(`node_modules/${sdk}/package.json`, import.meta.url)
  return JSON.parse(readFileSync(manifest, 'utf8')).version
}

async function answer({ sdk, op, headers, ...question }) {
  if (op === 'version') return { version: version(sdk) }
  const joined = {}
  for (const [name, value] of headers ?? []) joined[name] = name in joined ? `${joined[name]}, ${value}` : value
  try {
    const headers = await sdks[sdk][op]({ ...question, headers: joined })
    return op === 'sign' ? { headers } : { accepted: true }
  } catch (error) {
    if (op === 'sign') throw error
    return { accepted: false, why: `${error.name}: ${String(error.message).slice(0, 200)}` }
  }
}

// What a library prints must not stand between the answers.
console.log = console.info = console.debug = console.warn = console.error
for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(await answer(JSON.parse(line))) + '\n')
}
