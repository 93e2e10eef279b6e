// How each workflow does: rate, errors, time, tokens, money.

import { spark } from "../chart.js";
import { choice, controls, SPANS } from "../controls.js";
import { h } from "../dom.js";
import { count, duration, money, named, percent, share, tokens } from "../format.js";
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

export function tableOf({ rows, others, total }, span) {
  const all = others === null ? rows : [...rows, { ...others, name: `${count(others.groups)} others` }];
  const pace = (row, name) => row.pace?.[name] ?? null;
  const failing = (of) => of && of.counted && of.failed / of.counted > 0.01;
  const errors = (of) => of && h("span", { class: failing(of) ? "mark bad" : null }, share(of.failed, of.counted));
  const failed = (row) => (row.pace?.failed && !row.groups ? h("a", { href: address("calls", { workflow: row.name, outcome: "failed", span }), "aria-label": `${share(row.pace.failed, row.pace.counted)}: failed calls of ${row.name}` }, errors(row.pace)) : errors(row.pace));
  return table({
    caption: "Workflows",
    empty: "No call began in this time. Send one through the gateway, and it shows here.",
    rows: all,
    sort: "-cost",
    columns: [
      { head: "workflow", cell: (row) => (row.groups ? row.name : named(row.name, address("calls", { workflow: row.name, span }))) },
      { head: "calls over time", minor: true, cell: (row) => (row.groups ? "" : spark(row.line.calls, { bad: row.line.failed, label: `calls of ${row.name}` })) },
      { head: "calls", num: true, by: (row) => row.calls, cell: (row) => count(row.calls) },
      { head: "errors", num: true, by: (row) => row.pace && row.pace.failed / Math.max(1, row.pace.counted), cell: failed },
      { head: "refused", num: true, minor: true, by: (row) => pace(row, "shed"), cell: (row) => count(pace(row, "shed")) },
      { head: "p50", num: true, by: (row) => pace(row, "p50_ms"), cell: (row) => duration(pace(row, "p50_ms")) },
      { head: "p95", num: true, by: (row) => pace(row, "p95_ms"), cell: (row) => duration(pace(row, "p95_ms")) },
      { head: "p99", num: true, by: (row) => pace(row, "p99_ms"), cell: (row) => duration(pace(row, "p99_ms")) },
      { head: "tokens in", num: true, minor: true, by: prompt, cell: (row) => tokens(prompt(row)) },
      { head: "out", num: true, minor: true, by: (row) => row.output_tokens, cell: (row) => tokens(row.output_tokens) },
      { head: "cached", num: true, by: (row) => row.cached_share, cell: (row) => percent(row.cached_share) },
      { head: "cost", num: true, by: (row) => Number(row.cost_usd), cell: (row) => money(row.cost_usd) },
      { head: "retries", num: true, minor: true, by: (row) => pace(row, "retries"), cell: (row) => count(pace(row, "retries")) },
      { head: "fallbacks", num: true, minor: true, by: (row) => pace(row, "fallbacks"), cell: (row) => count(pace(row, "fallbacks")) },
      { head: "unfit outputs", num: true, minor: true, by: (row) => row.pace && row.pace.unfit / Math.max(1, row.pace.judged), cell: (row) => unfit(row.pace) },
    ],
    total: [
      "All", "", count(total.calls), errors(total.pace), count(total.pace.shed), "", "", "", tokens(prompt(total)), tokens(total.output_tokens),
      percent(total.cached_share), money(total.cost_usd), count(total.pace.retries), count(total.pace.fallbacks), unfit(total.pace),
    ],
  });
}

function unfit(of) {
  return of && h("span", { class: of.unfit / of.judged > 0.02 ? "mark bad" : null }, share(of.unfit, of.judged));
}

function prompt(row) {
  return row.input_tokens + row.cache_read_tokens + row.cache_write_5m_tokens + row.cache_write_1h_tokens;
}
