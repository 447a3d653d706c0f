// openai-node against the gateway: node openai.mjs PORT SCENARIO KEY. Prints what each call came to, as a list in JSON.
import OpenAI from 'openai';

const [port, scenario, key] = process.argv.slice(2);
const openai = new OpenAI({ apiKey: 'sk-gateway', baseURL: `http://127.0.0.1:${port}/v1`, maxRetries: 0 });
const question = stream => openai.chat.completions.create(
  { model: 'm', messages: [{ role: 'user', content: 'hello' }], stream }, { headers: { 'Idempotency-Key': key } });
const outcome = promise => promise.then(text => ({ text }), error => ({ error: error.constructor.name, status: error.status ?? null, message: error.message }));

const buffered = async () => (await question(false)).choices[0].message.content;
const streamed = async (pieces = Infinity) => {
  let text = '';
  const stream = await question(true);
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? '';
    if (--pieces === 0) {
      stream.controller.abort();
      break;
    }
  }
  return text;
};
// The first request goes on at the backend: until it has ended, the retry is told so.
const patiently = async call => {
  for (let tries = 0; ; tries++) {
    const result = await outcome(call());
    if (result.status !== 409 || tries === 100) {
      return result;
    }
    await new Promise(resolve => setTimeout(resolve, 100));
  }
};

const scenarios = {
  buffered: async () => [await outcome(buffered()), await outcome(buffered())],
  streamed: async () => [await outcome(streamed()), await patiently(streamed)],
  aborted: async () => [await outcome(streamed(1)), await patiently(streamed)],
};
console.log(JSON.stringify(await scenarios[scenario]()));
