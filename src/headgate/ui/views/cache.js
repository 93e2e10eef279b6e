// What the prompt cache saves, what it could save, and what keeps it from it.

import { choice, controls, SPANS } from "../controls.js";
import { h, section } from "../dom.js";
import { count, money, named, share, words } from "../format.js";
import { table } from "../table.js";

export const title = () => "Prompt cache";
export const questions = ({ told }) => ({ advice: `/api/advice?span=${told.get("span") ?? "7d"}`, lint: "/api/cache" });

export function draw(news, { advice, lint }) {
  return [
    section("Savings",
      controls(choice("Calls begun within", "span", SPANS, "7d")),
      advice === null ? h("p", { class: "soft" }, "Asking the ledger …") : savings(advice)),
    section("What changes in prompts", lint === null ? h("p", { class: "soft" }, "Asking the gateway …") : findings(lint.findings)),
    section("What the API says", lint === null ? null : misses(lint.misses)),
  ];
}

function savings({ workflows: rows, more_workflows: more }) {
  return [
    table({
      caption: "What caching saved and could save",
      empty: "No answered call is in the ledger of this time.",
      rows,
      sort: "-could-save",
      columns: [
        { head: "workflow", cell: (row) => named(row.workflow) },
        { head: "calls", num: true, by: (row) => row.calls, cell: (row) => count(row.calls) },
        { head: "read from cache", num: true, by: (row) => row.read_tokens / Math.max(1, row.prompt_tokens), cell: (row) => share(row.read_tokens, row.prompt_tokens) },
        { head: "cost", num: true, by: (row) => Number(row.cost_usd), cell: (row) => money(row.cost_usd) },
        { head: "saved", num: true, by: (row) => Number(row.saved_usd), cell: (row) => money(row.saved_usd) },
        { head: "could save", num: true, by: (row) => Number(row.could_usd), cell: (row) => (Number(row.could_usd) ? money(row.could_usd) : "–") },
        { head: "what to do", minor: true, wordy: true, cell: advise },
      ],
    }),
    more ? h("p", { class: "note" }, `And ${count(more)} others with less to gain: `, h("code", null, "headgate cache advise")) : null,
    h("p", { class: "note" }, "What could be saved is a bound: as if all that the calls of a system prompt have in common were cached for five minutes."),
  ];
}

function advise(row) {
  if (Number(row.saved_usd) < 0) return "markers cost more than they saved: nothing read most of what was written";
  if (row.calls >= 10 && row.unshared > row.calls / 2) return "most calls have a system prompt of their own: see what changes, below";
  if (Number(row.could_usd) > Number(row.cost_usd) / 20) return ["prompts come again within five minutes and are not cached; ", h("code", null, "keep_warm"), " in its settings names the hours in which to hold them"];
  if (row.too_short > row.calls / 2 && !row.read_tokens) return "most prompts are shorter than what the model caches";
  return "–";
}

function findings(rows) {
  return table({
    caption: "What changes in prompts that could be cached",
    empty: "Nothing volatile in the tools and system prompts of the last calls.",
    rows,
    columns: [
      { head: "workflow", cell: (row) => named(row.workflow) },
      { head: "part", cell: (row) => row.part },
      { head: "what changes", cell: (row) => words(row.kind) },
      { head: "looks like", minor: true, cell: (row) => h("code", null, named(row.shape)) },
      { head: "new in", num: true, cell: (row) => `${count(row.changed)} of ${count(row.calls)}` },
      { head: "bytes not cached", num: true, cell: (row) => count(row.lost_bytes) },
      { head: "what to do", minor: true, wordy: true, cell: (row) => row.advice },
    ],
  });
}

function misses(rows) {
  return table({
    caption: "Why prompts were not read from the cache, as the API says",
    empty: "The API has reported no miss.",
    rows,
    columns: [
      { head: "workflow", cell: (row) => named(row.workflow) },
      { head: "reason", cell: (row) => words(row.reason) },
      { head: "calls", num: true, cell: (row) => count(row.calls) },
      { head: "tokens not read", num: true, cell: (row) => count(row.lost_tokens) },
    ],
  });
}
