// One call: what was asked, the path it took, where its time and its money went.

import { gantt } from "../chart.js";
import { facts, h, section } from "../dom.js";
import { at, count, duration, money, named, seconds, tokens, words } from "../format.js";
import { address } from "../route.js";
import { table } from "../table.js";
import { outcome } from "./calls.js";

export const title = ({ thing }) => `Call ${thing}`;
export const questions = ({ thing }) => ({ call: `/api/calls/${encodeURIComponent(thing)}` });

export function draw(news, { call: told }) {
  if (told === null) return h("p", { class: "soft" }, "Asking the ledger …");
  if (told.waiting) return standing(told.waiting);
  const { call, attempts, path, spans } = told;
  return [
    summary(call),
    section("Where its time went", time(call, spans)),
    section("The path it took", h("p", { class: "note" }, "Every filter in the order in which a call meets them; those below the retry once for each attempt."), steps(path)),
    section("Attempts", trips(attempts)),
    section("Everything that is written down", h("details", null, h("summary", null, "The call’s row of the ledger"), facts(Object.entries(call).map(([name, value]) => [name, value === null ? "–" : String(value)]), { class: "facts mono" }))),
  ];
}

function standing(ticket) {
  return [
    h("p", { class: "lead" }, "It waits for its turn. When it is over, its path stands here."),
    facts([
      ["pool", ticket.pool],
      ["lane", ticket.lane],
      ["on behalf of", named(ticket.tenant)],
      ["place in the queue", count(ticket.position)],
      ["has waited", seconds(ticket.waited_s)],
      ["waits about", ticket.expected_s === null ? "until something changes" : `${seconds(ticket.expected_s)} more`],
    ]),
  ];
}

function summary(call) {
  const link = (name, value) => value && named(value, address("calls", { [name]: value }));
  return facts([
    ["outcome", outcome(call)],
    ["status", call.status],
    ["began", at(call.started_ms)],
    ["took", duration(call.total_ms)],
    ["waited", duration(call.queue_ms)],
    ["Headgate itself", duration(call.overhead_ms)],
    ["cost", money(call.cost_usd)],
    ["tokens", [tokens(call.input_tokens + call.cache_read_tokens + call.cache_write_5m_tokens + call.cache_write_1h_tokens), " in, ", tokens(call.output_tokens), " out"]],
    ["workflow", link("workflow", call.workflow)],
    ["user", link("q", call.user)],
    ["session", link("q", call.session)],
    ["lane", call.lane],
    ["key", call.caller_key],
    ["model", call.model_answered === call.model || call.model_answered === null ? call.model : `${call.model}, answered by ${call.model_answered}`],
    ["reason", call.reason && words(call.reason)],
    ["structured output", call.validation && words(call.validation)],
    ["correlation id", link("q", call.correlation_id)],
    ["request id", link("q", call.upstream_request_id)],
    ["trace", link("q", call.trace_id)],
  ]);
}

function time(call, spans) {
  if (!spans.length) return h("p", { class: "empty" }, `It was never sent. It ended after ${duration(call.total_ms)}.`);
  return h("figure", null,
    gantt(spans, { total: call.total_ms, label: `The ${duration(call.total_ms)} of the call, one row for each attempt; the same as a table below` }),
    h("figcaption", { class: "legend" }, ["queue", "connect", "first byte", "answer"].map((what) => h("span", { class: what.replace(" ", "-") }, what))),
    h("details", null, h("summary", null, "As a table"), table({
      caption: "Where the call’s time went", empty: "", rows: spans,
      columns: [
        { head: "attempt", cell: (span) => span.attempt },
        { head: "part", cell: (span) => span.what },
        { head: "from", num: true, cell: (span) => duration(span.from_ms) },
        { head: "for", num: true, cell: (span) => duration(span.to_ms - span.from_ms) },
      ],
    })));
}

const SIGNS = { passed: "✓", changed: "≠", waited: "…", answered: "●", refused: "✕", failed: "✕", not_reached: "·" };

function steps(path) {
  return h("ol", { class: "path" }, path.map((step) => h("li", { class: step.did },
    h("span", { class: "sign", "aria-hidden": "true" }, SIGNS[step.did]),
    h("span", { class: "filter" }, h("code", null, step.filter), step.attempt === null ? null : h("span", { class: "soft" }, ` attempt ${step.attempt}`)),
    h("span", { class: "did" }, words(step.did), step.note ? `: ${words(step.note)}` : null, h("span", { class: "does" }, step.does)),
    h("span", { class: "num" }, step.for_ms === null ? "" : duration(step.for_ms)))));
}

function trips(attempts) {
  return table({
    caption: "Attempts",
    empty: "None: it was never sent to the API.",
    rows: attempts,
    columns: [
      { head: "attempt", cell: (row) => row.attempt },
      { head: "key", minor: true, cell: (row) => row.credential },
      { head: "pool", minor: true, cell: (row) => row.pool },
      { head: "status", num: true, cell: (row) => row.status ?? "–" },
      { head: "what came", cell: (row) => (row.error ? h("span", { class: "mark bad" }, words(row.error)) : words(row.stop_reason)) },
      { head: "then", cell: (row) => words(row.decision) },
      { head: "waited", num: true, minor: true, cell: (row) => duration(row.queue_ms) },
      { head: "first byte", num: true, minor: true, cell: (row) => duration(row.first_byte_ms) },
      { head: "took", num: true, cell: (row) => duration(row.total_ms) },
      { head: "in", num: true, minor: true, cell: (row) => count(row.input_tokens + row.cache_read_tokens + row.cache_write_5m_tokens + row.cache_write_1h_tokens) },
      { head: "out", num: true, minor: true, cell: (row) => count(row.output_tokens) },
      { head: "cost", num: true, cell: (row) => money(row.cost_usd) },
      { head: "request id", minor: true, cell: (row) => h("code", null, row.upstream_request_id ?? "–") },
    ],
  });
}
