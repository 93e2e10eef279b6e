// How each workflow does: rate, errors, time, tokens, money.

import { spark } from "../chart.js";
import { choice, controls, SPANS } from "../controls.js";
import { h } from "../dom.js";
import { count, duration, money, named, NONE, percent, share, tokens } from "../format.js";
import { address } from "../route.js";
import { table } from "../table.js";

export const title = () => "Workflows";
export const questions = ({ told }) => ({ workflows: `/api/workflows?span=${told.get("span") ?? "24h"}` });

export function draw(news, { workflows }, { told }) {
  return [
    controls(choice("Calls begun within", "span", SPANS, "24h")),
    workflows === null ? h("p", { class: "soft" }, "Asking the ledger …") : tableOf(workflows, told.get("span") ?? "24h"),
    h("p", { class: "note" }, "Errors are calls that should have been answered and were not; refused are those that Headgate did not send: no room in time, a budget, a limit of the caller. Times are those of answers, waits included. A request that answered several calls is shared among them. Unfit outputs are structured outputs that were no JSON of their schema."),
  ];
}

// All that is known of each; or, `brief`, how the dearest of them went.
export function tableOf({ rows, others, total }, span, { brief = null } = {}) {
  const pace = (row, name) => row.pace?.[name] ?? null;
  const failing = (of) => of && of.counted && of.failed / of.counted > 0.01;
  const errors = (of) => (of === null ? NONE : h("span", { class: failing(of) ? "mark bad" : null }, share(of.failed, of.counted)));
  const failed = (row) => (row.pace?.failed && !row.groups ? h("a", { href: address("calls", { workflow: row.name, outcome: "failed", span }), "aria-label": `${share(row.pace.failed, row.pace.counted)}: failed calls of ${row.name}` }, errors(row.pace)) : errors(row.pace));
  const refused = (row) => (pace(row, "shed") && !row.groups ? h("a", { href: address("calls", { workflow: row.name, outcome: "shed", span }), "aria-label": `${count(row.pace.shed)} refused calls of ${row.name}` }, count(row.pace.shed)) : count(pace(row, "shed")));
  const columns = [
    { head: "workflow", cell: (row) => (row.groups ? row.name : named(row.name, address("calls", { workflow: row.name, span }))), sum: "All" },
    { head: "calls over time", minor: true, cell: (row) => (row.groups ? "" : spark(row.line.calls, { bad: row.line.failed, label: `calls of ${row.name}` })) },
    { head: "calls", num: true, by: (row) => row.calls, cell: (row) => count(row.calls), sum: count(total.calls) },
    { head: "errors", num: true, by: (row) => row.pace && row.pace.failed / Math.max(1, row.pace.counted), cell: failed, sum: errors(total.pace) },
    { head: "refused", num: true, minor: true, by: (row) => pace(row, "shed"), cell: refused, sum: count(total.pace.shed) },
    { head: "p50", num: true, by: (row) => pace(row, "p50_ms"), cell: (row) => duration(pace(row, "p50_ms")) },
    { head: "p95", num: true, by: (row) => pace(row, "p95_ms"), cell: (row) => duration(pace(row, "p95_ms")) },
    { head: "p99", num: true, by: (row) => pace(row, "p99_ms"), cell: (row) => duration(pace(row, "p99_ms")) },
    { head: "tokens in", num: true, minor: true, whole: true, by: prompt, cell: (row) => tokens(prompt(row)), sum: tokens(prompt(total)) },
    { head: "out", num: true, minor: true, whole: true, by: (row) => row.output_tokens, cell: (row) => tokens(row.output_tokens), sum: tokens(total.output_tokens) },
    { head: "cached", num: true, by: (row) => row.cached_share, cell: (row) => percent(row.cached_share), sum: percent(total.cached_share) },
    { head: "cost", num: true, by: (row) => Number(row.cost_usd), cell: (row) => money(row.cost_usd), sum: money(total.cost_usd) },
    { head: "retries", num: true, minor: true, whole: true, by: (row) => pace(row, "retries"), cell: (row) => count(pace(row, "retries")), sum: count(total.pace.retries) },
    { head: "fallbacks", num: true, minor: true, whole: true, by: (row) => pace(row, "fallbacks"), cell: (row) => count(pace(row, "fallbacks")), sum: count(total.pace.fallbacks) },
    { head: "unfit outputs", num: true, minor: true, whole: true, by: (row) => row.pace && row.pace.unfit / Math.max(1, row.pace.judged), cell: (row) => unfit(row.pace), sum: unfit(total.pace) },
  ].filter((column) => brief === null || !column.whole);
  const more = brief === null ? 0 : Math.max(0, rows.length - brief) + (others?.groups ?? 0);
  return [
    table({
      caption: "Workflows",
      empty: "No call began in this time. Send one through the gateway, and it shows here.",
      rows: rows.slice(0, brief ?? rows.length),
      rest: brief === null && others ? { ...others, name: `${count(others.groups)} others` } : null,
      sort: "-cost",
      columns,
      total: columns.map((column) => column.sum ?? ""),
    }),
    more ? h("p", null, h("a", { href: address("workflows", { span }) }, `And ${count(more)} more, with tokens, retries and fallbacks`)) : null,
  ];
}

function unfit(of) {
  return of && h("span", { class: of.unfit / of.judged > 0.02 ? "mark bad" : null }, share(of.unfit, of.judged));
}

function prompt(row) {
  return row.input_tokens + row.cache_read_tokens + row.cache_write_5m_tokens + row.cache_write_1h_tokens;
}
