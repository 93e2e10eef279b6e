// Questions to the gateway.

export class Trouble extends Error {}

export async function ask(path) {
  let reply;
  try {
    reply = await fetch(path, { headers: { accept: "application/json" } });
  } catch {
    throw new Trouble("The gateway does not answer.");
  }
  if (reply.status === 401) {
    location.assign("/login");
    throw new Trouble("Log in again.");
  }
  const told = await reply.json().catch(() => ({}));
  if (!reply.ok) throw new Trouble(told.error ?? `The gateway answered ${reply.status}.`);
  return told;
}

// Ask the gateway to do something.  The header is what no other site's page can send along.
export async function act(path, body = null) {
  const headers = { "x-headgate-action": "1", "content-type": "application/json" };
  const reply = await fetch(path, { method: "POST", headers, body: body === null ? null : JSON.stringify(body) });
  if (!reply.ok) throw new Trouble((await reply.json().catch(() => ({}))).error ?? `The gateway answered ${reply.status}.`);
}
