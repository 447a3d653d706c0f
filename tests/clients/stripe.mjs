// stripe-node against the gateway: node stripe.mjs PORT SCENARIO KEY. Prints what each call came to, as a list in JSON.
import Stripe from 'stripe';

const [port, scenario, key] = process.argv.slice(2);
const client = (options = {}) => new Stripe('sk_test_gateway', { host: '127.0.0.1', port, protocol: 'http', maxNetworkRetries: 0, telemetry: false, ...options });
const pay = (stripe, amount = 100) => stripe.paymentIntents.create({ amount, currency: 'eur' }, { idempotencyKey: key });
const outcome = promise => promise.then(
  object => ({ id: object.id, replayed: object.lastResponse.headers['idempotent-replayed'] === 'true' }),
  error => ({ error: error.type, status: error.statusCode ?? null, code: error.code ?? null, message: error.message }));

const scenarios = {
  first: async () => [await outcome(pay(client())), await outcome(pay(client()))],
  timeout: async () => [await outcome(pay(client({ timeout: 700, maxNetworkRetries: 5 })))],
  concurrent: async () => Promise.all([outcome(pay(client())), outcome(pay(client()))]),
  reuse: async () => [await outcome(pay(client())), await outcome(pay(client(), 200))],
  uncertain: async () => [await outcome(pay(client())), await outcome(pay(client()))],
};
console.log(JSON.stringify(await scenarios[scenario]()));
