// Is it healthy now?  Then the numbers of the last hour, and what is short.

import { spark } from "../chart.js";
import { h, section } from "../dom.js";
import { count, duration, money, percent, seconds, share } from "../format.js";
import { address } from "../route.js";
import { table } from "../table.js";
import { lanesNow } from "./lanes.js";
import { bar, stateOf } from "./limits.js";
import { tableOf } from "./workflows.js";

export const title = () => "Now";
export const questions = () => ({ workflows: "/api/workflows?span=24h" });

const HEADLINE = { ok: "Healthy", watch: "Working, with something to watch", bad: "Something is wrong" };

export function draw(news, { workflows }) {
  if (news === null) return h("p", { class: "soft" }, "Asking the gateway …");
  return [
    health(news),
    news.hour === null ? h("p", { class: "empty" }, "Nothing is known of past calls: there is no ledger that can be read.") : section("The last hour", figures(news, workflows?.total)),
    section("Limits", limits(news.limits.pools)),
    section("Lanes", lanesNow(news)),
    section("Workflows, the last 24 hours", workflows === null ? h("p", { class: "soft" }, "Asking the ledger …") : tableOf(workflows, "24h", { brief: DEAREST })),
  ];
}

function health({ health: { level, concerns }, up_s }) {
  return h("div", { class: `health ${level}` },
    h("p", { class: "headline" }, HEADLINE[level]),
    concerns.length ? standing(concerns)
      : h("p", { class: "soft" }, `Nothing stands in the way of calls. Up for ${duration(up_s * 1000)}.`));
}

const MOST_CONCERNS = 8;
const DEAREST = 12;

function standing(concerns) {
  const more = concerns.length - MOST_CONCERNS;
  return h("ul", { class: "concerns" },
    concerns.slice(0, MOST_CONCERNS).map((concern) => h("li", { class: concern.level },
      h("a", { href: address(concern.view) }, concern.title), " ", h("span", null, concern.detail))),
    more > 0 ? h("li", null, h("a", { href: address("alerts") }, `And ${count(more)} more`)) : null);
}

const FEW_CALLS = 20;
const FAILED_TOLERATED = 0.01;
const REFUSED_TOLERATED = 0.05;
const perMinute = (rate) => (rate > 0 && rate < 10 ? rate.toFixed(1) : count(rate));

// Each with what it is beside the last 24 hours (`day`, null until the ledger has told).
function figures({ hour, under_way, waiting, limits: { pools }, past }, day) {
  const { minutes, quarter, durations, spent } = hour;
  const recent = minutes.calls.slice(-16, -1);
  const rate = recent.reduce((sum, calls) => sum + calls, 0) / Math.max(1, recent.length);
  const oldest_s = Math.max(0, ...pools.flatMap((pool) => Object.values(pool.lanes).map((lane) => lane.oldest_s)));
  const asked = (of) => (of ? of.counted + of.shed : 0);
  const marked = (part, all, tolerated, mark) => (all >= FEW_CALLS && part / all > tolerated ? h("span", { class: `mark ${mark}` }, share(part, all)) : share(part, all));
  const figure = (name, value, note, beside, drawn = null) =>
    h("div", { class: "figure" }, h("dt", null, name), h("dd", null, h("span", { class: "value" }, value), h("span", { class: "soft" }, note), h("span", { class: "soft" }, beside), drawn));
  const of24 = (...told) => (day ? [...told, " in 24 h"] : "\u00a0");
  return h("dl", { class: "figures" },
    figure("Calls a minute", perMinute(rate), "over 15 min", of24(perMinute((day?.calls ?? 0) / 1440)), spark(minutes.calls, { label: "calls in each minute of the last hour" })),
    figure("Errors", marked(quarter.failed, quarter.counted, FAILED_TOLERATED, "bad"), `${count(quarter.failed)} in 15 min`, of24(share(day?.pace.failed, day?.pace.counted)), spark(minutes.failed, { label: "failed calls in each minute of the last hour" })),
    figure("Refused", marked(quarter.shed, asked(quarter), REFUSED_TOLERATED, "watch"), `${count(quarter.shed)} in 15 min`, of24(share(day?.pace.shed, asked(day?.pace)))),
    figure("Answer time, p95", duration(durations.p95_ms), `p50 ${duration(durations.p50_ms)}`, `p99 ${duration(durations.p99_ms)}`, spark(minutes.waited_ms.map(Math.round), { label: "longest wait in each minute, in milliseconds" })),
    figure("Waiting", count(waiting), `${count(under_way)} under way`, waiting ? `oldest ${seconds(oldest_s)}` : "\u00a0", spark(past.map((moment) => moment.waiting), { label: "calls that waited in the last minutes" })),
    figure("Cost", money(spent.cost_usd), "in the hour", of24(money(day?.cost_usd)), spark(minutes.cost_usd, { label: "dollars in each minute of the last hour" })),
    figure("Read from cache", percent(spent.cached_share), "of the prompts", of24(percent(day?.cached_share))));
}

function limits(pools) {
  const rows = pools.flatMap((pool) => pool.backends.map((backend) => ({ pool, backend })));
  const level = (name) => ({ backend }) => (backend.limiters[name] ? bar(name, backend.limiters[name], backend.burst) : "–");
  return table({
    caption: "How far each limit is used",
    empty: "No call has been made yet. Limits show after the first.",
    rows,
    columns: [
      { head: "pool", cell: ({ pool, backend }) => [h("a", { href: address("limits") }, pool.pool), " ", h("span", { class: "soft" }, backend.backend)] },
      { head: "requests", cell: level("requests") },
      { head: "input", cell: level("input") },
      { head: "output", cell: level("output") },
      { head: "state", cell: ({ backend }) => stateOf(backend) },
    ],
  });
}
