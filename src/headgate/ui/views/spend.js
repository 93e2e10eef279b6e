// What is spent, by whom, within which budget, and where it goes.

import { columns, meter, outlook } from "../chart.js";
import { choice, controls } from "../controls.js";
import { h, section } from "../dom.js";
import { at, count, money, named, percent, tokens } from "../format.js";
import { address } from "../route.js";
import { table } from "../table.js";

const BY = ["workflow", "user", "session", "model", "key", "team", "lane", "tag", "day"].map((name) => [name, name]);
const DAYS = [["today", "today"], ["7d", "7 days"], ["30d", "30 days"], ["month", "this month"], ["all", "everything"]];

export const title = () => "Spend";
export const questions = ({ told }) => ({
  outlook: "/api/outlook",
  spend: `/api/spend?by=${told.get("by") ?? "workflow"}&days=${told.get("days") ?? "30d"}`,
});

export function draw(news, { spend, outlook: told }) {
  return [
    told === null ? h("p", { class: "soft" }, "Asking the ledger …") : [section("Where it goes", windows(told.windows, spend)), section("Budgets", budgets(told))],
    section("Who spent it",
      controls(choice("By", "by", BY, "workflow"), choice("Days of UTC", "days", DAYS, "30d")),
      spend === null ? h("p", { class: "soft" }, "Asking the ledger …") : [byDay(spend), groups(spend)]),
  ];
}

function windows(found, spend) {
  if (!found.length) return h("p", { class: "empty" }, "No call is in the ledger yet, so nothing can be foretold.");
  return h("div", { class: "beside" }, found.map((its) => {
    const { forecast } = its;
    const number = (text) => Number(text);
    const most = Math.max(number(forecast.high_usd), number(its.spent_usd)) * 1.05;
    return h("div", { class: "panel" },
      h("h3", null, its.kind === "day" ? `Today, ${its.name} ${its.time_zone}` : `This month, ${its.name} ${its.time_zone}`),
      h("p", { class: "big" }, money(its.spent_usd), h("span", { class: "soft" }, " spent")),
      outlook({ spent: number(its.spent_usd), low: number(forecast.low_usd), high: number(forecast.high_usd), expected: number(forecast.expected_usd), most, label: `spent, and the forecast of the ${its.kind}` }),
      h("p", null, money(forecast.expected_usd), " expected by its end, from ", money(forecast.low_usd), " to ", money(forecast.high_usd), "."),
      h("p", { class: "note" }, forecast.by === "weeks" ? `By the same hours of the last ${forecast.weeks} weeks.` : "By the rate so far.", its.kind === "day" ? yesterday(its, spend) : null));
  }));
}

function yesterday(today, spend) {
  const name = new Date(today.start_ms - 1).toISOString().slice(0, 10);
  const found = spend?.by_day.find((day) => day.day === name);
  return found ? [" The day before: ", money(found.cost_usd), " in all."] : null;
}

function budgets({ budgets: lines, more_budgets: more }) {
  const [first, rest] = fullest(lines);
  return [
    budgetTable("Budgets", first),
    rest.length ? h("details", null, h("summary", null, `${count(rest.length)} accounts that are less full`), budgetTable("Budgets that are less full", rest)) : null,
    more ? h("p", { class: "note" }, `And ${count(more)} more: headgate budget --all`) : null,
  ];
}

const FULLEST = 5;

// Of a budget that is split among people, the fullest accounts; and the others.
function fullest(lines) {
  const seen = new Map();
  const rank = [...lines].sort((one, other) => other.share - one.share);
  for (const line of rank) seen.set(line.budget, [...(seen.get(line.budget) ?? []), line]);
  const first = new Set([...seen.values()].flatMap((all) => all.slice(0, FULLEST)));
  const ordered = [...new Set(lines.map((line) => line.budget))].flatMap((name) => seen.get(name));
  return [ordered.filter((line) => first.has(line)), ordered.filter((line) => !first.has(line))];
}

function budgetTable(caption, rows) {
  return table({
    caption,
    empty: "No budget is configured: nothing bounds what is spent. [budgets.NAME] in headgate.toml does.",
    rows,
    columns: [
      { head: "budget", cell: (row) => [row.budget, " ", row.who && named(row.who)] },
      { head: "window", minor: true, cell: (row) => h("span", { class: "num" }, `${row.window} ${row.name === "-" ? "" : row.name}`) },
      { head: "used", cell: (row) => meter({ used: row.share, level: { refuse: "bad", ok: "ok" }[row.level] ?? "watch", label: `${percent(row.share)} of budget ${row.budget} used` }) },
      { head: "share", num: true, by: (row) => row.share, cell: (row) => percent(row.share) },
      { head: "settled", num: true, by: (row) => Number(row.settled_usd), cell: (row) => money(row.settled_usd) },
      { head: "held", num: true, minor: true, cell: (row) => money(row.held_usd) },
      { head: "cap", num: true, by: (row) => Number(row.cap_usd), cell: (row) => money(row.cap_usd) },
      { head: "by the end", num: true, cell: ahead },
      { head: "level", cell: (row) => h("span", { class: `mark ${{ refuse: "bad", ok: "ok" }[row.level] ?? "watch"}` }, row.level) },
      { head: "begins anew", minor: true, cell: (row) => (row.ends_ms === null ? "–" : at(row.ends_ms)) },
    ],
  });
}

// What it comes to at this rate, and whether that is more than may be spent.
function ahead({ forecast, cap_usd: cap }) {
  if (!forecast) return "–";
  const over = Number(forecast.expected_usd) > Number(cap);
  return over ? h("span", { class: "mark watch" }, money(forecast.expected_usd), " over") : money(forecast.expected_usd);
}

function byDay({ by_day: days }) {
  if (days.length < 2) return null;
  const rows = days.map((day) => ({ name: day.day, value: Number(day.cost_usd), text: `$${day.cost_usd}` }));
  const dearest = days.reduce((one, other) => (Number(other.cost_usd) > Number(one.cost_usd) ? other : one));
  return h("figure", null,
    h("figcaption", { class: "soft" }, `Cost of each day of UTC, from ${rows[0].name} to ${rows.at(-1).name}; the dearest, ${dearest.day}: `, money(dearest.cost_usd)),
    columns(rows, { label: `Cost of ${rows.length} days; the same as a table below` }),
    h("details", null, h("summary", null, "As a table"),
      table({ caption: "Cost of each day", empty: "", rows: days, columns: [{ head: "day", cell: (day) => day.day }, { head: "cost", num: true, cell: (day) => money(day.cost_usd) }] })));
}

function groups({ by, rows, others, total, command }) {
  const cells = (row) => [count(row.calls), count(row.answered), count(row.attempts), tokens(row.input_tokens), tokens(row.cache_read_tokens), tokens(row.cache_write_5m_tokens + row.cache_write_1h_tokens), tokens(row.output_tokens), money(row.cost_usd), row.answered ? money(row.cost_per_answer_usd) : "–"];
  const heads = ["calls", "answered", "attempts", "input", "cache read", "cache write", "output", "cost", "per answer"];
  const minor = new Set(["answered", "attempts", "input", "cache read", "cache write", "output", "per answer"]);
  const value = { calls: (row) => row.calls, cost: (row) => Number(row.cost_usd), output: (row) => row.output_tokens };
  return [
    table({
      caption: `Spent, by ${by}`,
      empty: "Nothing was spent in this time.",
      rows,
      rest: others && { ...others, name: `${count(others.groups)} others` },
      columns: [
        { head: by, cell: (row) => nameOf(by, row.name) },
        ...heads.map((head, index) => ({ head, num: true, minor: minor.has(head), by: value[head], cell: (row) => cells(row)[index] })),
      ],
      total: ["All", ...cells(total)],
    }),
    total.unconfirmed_usd !== "0" && Number(total.unconfirmed_usd) ? h("p", { class: "note" }, "Beside it ", money(total.unconfirmed_usd), " expected for attempts that nothing tells the usage of.") : null,
    total.unpriced ? h("p", { class: "note" }, `${count(total.unpriced)} answers have no known cost and are not in these sums.`) : null,
    h("p", { class: "note" }, "The same in a terminal: ", h("code", null, command)),
  ];
}

function nameOf(by, name) {
  if (name.startsWith("(")) return name;
  if (by === "workflow" || by === "model") return named(name, address("calls", { [by]: name }));
  if (by === "user" || by === "session") return named(name, address("calls", { q: name }));
  return named(name);
}
