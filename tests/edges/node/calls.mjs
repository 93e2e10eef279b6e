// The calls of a TypeScript application.  Prints one JSON object: name of the call -> what came of it, without what the
// clock decides and without what Headgate says of itself.
//
//   node calls.mjs BASE_URL

import Anthropic, { toFile } from "@anthropic-ai/sdk";

const baseURL = process.argv[2];
const client = new Anthropic({ baseURL, apiKey: "sk-ant-of-the-caller-0001", maxRetries: 0 });
const asking = (text = "How much water?", more = {}) => ({
  model: "claude-haiku-5-5",
  max_tokens: 300,
  messages: [{ role: "user", content: text }],
  ...more,
});

async function all(pages) {
  const items = [];
  for await (const item of await pages) items.push(item);
  return items;
}

const calls = {
  create: () => client.messages.create(asking()),
  "create, beta": () => client.beta.messages.create(asking()),
  "create, events": async () => all(client.messages.create(asking("hi", { stream: true }))),
  stream: () => client.messages.stream(asking("hi", { thinking: { type: "adaptive" } })).finalMessage(),
  "stream of tools": () => client.messages.stream(asking('[[sim: tool=level:{"gate": "north"}]]')).finalMessage(),
  "unknown events": () => client.messages.stream(asking("[[sim: garbage=events]]")).finalMessage(),
  refusal: () => client.messages.create(asking("[[sim: refusal=cyber]]")),
  "response and request id": async () => {
    const { data, response, request_id } = await client.messages.create(asking()).withResponse();
    return { data, status: response.status, agree: request_id === response.headers.get("request-id") };
  },
  "count_tokens": () => client.messages.countTokens({ model: "claude-haiku-5-5", messages: asking().messages }),
  models: () => all(client.models.list()),
  model: () => client.models.retrieve("claude-haiku-5-5"),
  "a model that is not there": () => client.models.retrieve("claude-none"),
  batches: async () => {
    const made = await client.messages.batches.create({ requests: [{ custom_id: "a", params: asking() }] });
    const batch = await client.messages.batches.retrieve(made.id);
    const own = batch.results_url === null || batch.results_url.startsWith(baseURL);
    return { made, own, results: await all(client.messages.batches.results(made.id)) };
  },
  files: async () => {
    const file = await client.beta.files.upload({ file: await toFile(Buffer.from("north 3\n"), "levels.txt") });
    const content = await (await client.beta.files.download(file.id)).text();
    return { file, content, listed: (await all(client.beta.files.list())).length, gone: await client.beta.files.delete(file.id) };
  },
  timeout: () => client.messages.create(asking("[[sim: hang]]"), { timeout: 200 }),
  "error event": () => client.messages.stream(asking("[[sim: midstream-error=2]]")).finalMessage(),
  cancelled: async () => {
    const stream = client.messages.stream(asking("[[sim: drip=200:20]]"));
    for await (const event of stream) if (event.type === "content_block_delta") break;
    return stream.aborted;
  },
};
for (const status of [400, 401, 402, 403, 404, 409, 413, 429, 500, 503, 504, 529])
  calls[`error ${status}`] = () => client.messages.create(asking(`[[sim: error=${status}]]`));

const OF_THE_MOMENT = new Set(["created_at", "expires_at", "ended_at", "cancel_initiated_at", "archived_at"]);
const plain = (name, value) =>
  OF_THE_MOMENT.has(name) ? undefined : typeof value === "string" ? value.replace(baseURL, "BASE") : value;

const told = {};
for (const [name, call] of Object.entries(calls)) {
  try {
    told[name] = (await call()) ?? null;
  } catch (error) {
    const { status, type, requestID, error: body, message } = error;
    told[name] = { class: error.constructor.name, status, type, requestID, body, message };
  }
}
console.log(JSON.stringify(told, plain, 1));
