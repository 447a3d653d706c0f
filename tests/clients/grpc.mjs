// grpc-js on both sides of the gateway: node grpc.mjs GATEWAY-PORT BACKEND-PORT KEY. Prints what the backend saw and what each call came to, in JSON.
import grpc from '@grpc/grpc-js';

const [gatewayPort, backendPort, key] = process.argv.slice(2);
const raw = { path: '/shop.Orders/Create', requestStream: false, responseStream: false, requestSerialize: text => Buffer.from(text), requestDeserialize: bytes => bytes.toString(), responseSerialize: text => Buffer.from(text), responseDeserialize: bytes => bytes.toString() };
const service = { Create: raw };
const arrivals = [];

const server = new grpc.Server();
server.addService(service, {
  Create: (call, callback) => {
    arrivals.push(call.metadata.get('idempotency-key')[0] ?? null);
    const failure = { unavailable: grpc.status.UNAVAILABLE, late: grpc.status.DEADLINE_EXCEEDED, wrong: grpc.status.INVALID_ARGUMENT }[call.request];
    if (failure && arrivals.filter(arrival => arrival === call.metadata.get('idempotency-key')[0]).length === 1) {
      callback({ code: failure, details: call.request });
      return;
    }
    callback(null, `order ${arrivals.length} of ${call.request}`);
  },
});
await new Promise((resolve, reject) => server.bindAsync(`127.0.0.1:${backendPort}`, grpc.ServerCredentials.createInsecure(), error => error ? reject(error) : resolve()));

const Orders = grpc.makeGenericClientConstructor(service, 'Orders');
const orders = new Orders(`127.0.0.1:${gatewayPort}`, grpc.credentials.createInsecure());
const create = (idempotencyKey, text) => new Promise(resolve => {
  const metadata = new grpc.Metadata();
  if (idempotencyKey) {
    metadata.set('idempotency-key', idempotencyKey);
  }
  orders.Create(text, metadata, { deadline: Date.now() + 20_000 }, (error, answer) => resolve(error ? { code: error.code, details: error.details } : { answer }));
});

const calls = [await create(key, 'tea'), await create(key, 'tea'), await create(key, 'milk'), await create(null, 'tea')];
for (const failure of ['unavailable', 'late', 'wrong']) {
  calls.push(await create(`${key}-${failure}`, failure), await create(`${key}-${failure}`, failure));
}
console.log(JSON.stringify({ arrivals, calls }));
orders.close();
server.forceShutdown();
