// Calls, the newest first: looked for by whatever a person has of one.

import { choice, controls, SPANS } from "../controls.js";
import { h } from "../dom.js";
import { at, count, duration, money, named, tokens, words } from "../format.js";
import { address, changed } from "../route.js";
import { table } from "../table.js";

// Who refused is the first question about a call that was.
const REFUSERS = { shed: "refused by us", refused: "refused by the model" };
const wording = (outcome) => REFUSERS[outcome] ?? words(outcome);
const OUTCOMES = [["", "any"], ["failed", "failed"], ...["ok", "client_error", "upstream_error", "timeout", "refused", "truncated", "invalid_output", "rate", "shed", "cancelled", "internal", "crashed"].map((name) => [name, wording(name)])];
const NAMES = ["q", "workflow", "model", "outcome", "span", "before"];

export const title = () => "Calls";

export function questions({ told }) {
  const query = new URLSearchParams(NAMES.filter((name) => told.get(name)).map((name) => [name, told.get(name)]));
  return { calls: `/api/calls?${query}` };
}

export function draw(news, { calls }, { told }) {
  const field = (label, name, hint) => h("label", { class: "choice" }, h("span", null, label), h("input", { name, value: told.get(name) ?? "", placeholder: hint, type: "search", autocomplete: "off", spellcheck: "false" }));
  return [
    h("form", { class: "controls", role: "search" },
      field("Find", "q", "any id, a user or a session"),
      field("Workflow", "workflow", "any"),
      field("Model", "model", "any"),
      choice("Outcome", "outcome", OUTCOMES, ""), choice("Begun within", "span", SPANS, "30d"),
      h("button", null, "Find")),
    calls === null ? h("p", { class: "soft" }, "Asking the ledger …") : found(calls, told),
  ];
}

function found({ calls, more, cut_short }, told) {
  return [
    cut_short ? h("p", { class: "trouble" }, "The search took too long and was cut short: there may be others. Choose a shorter time.") : null,
    table({
      caption: "Calls, the newest first",
      empty: "No call fits. A search is for the whole of a user, session, correlation or request id, or for the beginning of a call id.",
      rows: calls,
      columns: [
        { head: "began", cell: (row) => h("a", { href: address("calls", {}, row.call_id), "aria-label": `call ${row.call_id}` }, at(row.started_ms)) },
        { head: "workflow", cell: (row) => named(row.workflow) },
        { head: "user", minor: true, cell: (row) => named(row.user) },
        { head: "lane", minor: true, cell: (row) => row.lane },
        { head: "model", minor: true, cell: (row) => named(row.model_answered ?? row.model) },
        { head: "outcome", cell: outcome },
        { head: "attempts", num: true, minor: true, cell: (row) => count(row.attempts) },
        { head: "in", num: true, minor: true, cell: (row) => tokens(row.input_tokens) },
        { head: "out", num: true, minor: true, cell: (row) => tokens(row.output_tokens) },
        { head: "waited", num: true, minor: true, cell: (row) => duration(row.queue_ms) },
        { head: "took", num: true, cell: (row) => duration(row.total_ms) },
        { head: "cost", num: true, cell: (row) => money(row.cost_usd) },
      ],
    }),
    h("p", { class: "pages" },
      told.get("before") ? h("a", { href: changed({ before: null }) }, "Newest") : null,
      more ? h("a", { href: changed({ before: calls.at(-1).call_id }) }, "Older") : null),
  ];
}

const FAILED = new Set(["upstream_error", "timeout", "truncated", "invalid_output", "internal", "crashed"]);

export function outcome(row) {
  const why = row.error ?? (row.reason && row.outcome !== "ok" ? row.reason : null);
  const level = FAILED.has(row.outcome) ? "bad" : row.outcome === "ok" ? null : "watch";
  return [h("span", { class: level ? `mark ${level}` : null }, wording(row.outcome)), why ? h("span", { class: "soft" }, ` ${words(why)}`) : null];
}
