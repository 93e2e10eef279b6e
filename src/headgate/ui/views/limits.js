// What admission knows of the account's limits, and how it throttles this moment.

import { meter, spark } from "../chart.js";
import { facts, h, section } from "../dom.js";
import { count, duration, percent, seconds, words } from "../format.js";
import { limitOf, used } from "../past.js";
import { table } from "../table.js";

export const title = () => "Limits";
export const questions = () => ({});

const UNITS = { requests: "requests", input: "input tokens", output: "output tokens", plain: "input tokens with cache reads" };

export function draw(news) {
  if (news === null) return h("p", { class: "soft" }, "Asking the gateway …");
  const { pools, tier } = news.limits;
  if (!pools.length) return h("p", { class: "empty" }, "No call has been made yet. Limits show after the first.");
  return [
    h("p", { class: "lead" }, `Tier ${tier}. Each limit says where it was learned, and how long ago.`),
    pools.map((pool) => section(pool.pool, pool.backends.map((backend) => backendOf(pool, backend, news.past)))),
    h("p", { class: "note" }, "In use: of what may go at once, which Headgate finds out. Held: set aside for calls under way. Others use: what somebody else takes from the same limit, a minute. Pace: how much of the limit Headgate allows itself; less than all after a 429 that nothing explains."),
  ];
}

function backendOf(pool, backend, past) {
  const rows = Object.entries(backend.limiters);
  return h("div", { class: "panel" },
    h("h3", null, `Key ${backend.backend} `, stateOf(backend)),
    facts([
      ["under way", backend.max_under_way === null ? count(backend.under_way) : `${count(backend.under_way)} of ${count(backend.max_under_way)}`],
      ["may go at once", `${seconds(backend.burst.proven_s)} of the limit`],
      ["growth", backend.ramp_growth === null ? null : `at most × ${backend.ramp_growth} a minute`],
    ]),
    table({
      caption: `Limits of ${pool.pool}, key ${backend.backend}`,
      empty: "No limit is known: the API has told none yet.",
      rows,
      columns: [
        { head: "limit", cell: ([name]) => h("span", { class: "whole" }, UNITS[name] ?? words(name)) },
        { head: "in use", cell: ([name, limiter]) => bar(name, limiter, backend.burst) },
        { head: "last minutes", minor: true, cell: ([name]) => spark(past.map((moment) => 100 * (moment.limits[limitOf(pool, backend, name)] ?? 0)), { label: `percent of the ${words(name)} in use`, most: 100 }) },
        { head: "free now", num: true, cell: ([, limiter]) => count(Math.max(0, limiter.free_now)) },
        { head: "held", num: true, cell: ([, limiter]) => count(limiter.held) },
        { head: "per minute", num: true, cell: ([, limiter]) => count(limiter.per_minute) },
        { head: "the API says", num: true, cell: ([, limiter]) => upstream(limiter) },
        { head: "learned from", minor: true, cell: ([, limiter]) => h("span", { class: "whole" }, `${words(limiter.source)}, ${ago(limiter.age_s)}`) },
        { head: "others use", num: true, minor: true, cell: ([, limiter]) => count(limiter.others_per_minute) },
        { head: "pace", num: true, minor: true, cell: ([, limiter]) => percent(limiter.pace) },
      ],
    }));
}

// How much is taken of what may go at once.
export function bar(name, limiter, burst) {
  const taken = used(limiter, burst);
  return h("div", { class: "level" }, h("span", { class: "num" }, `${Math.round(100 * taken)} %`), meter({ used: taken, level: taken < 0.95 ? "ok" : "watch", label: `${percent(taken)} of the ${words(name)} that may go at once are taken` }));
}

function upstream(limiter) {
  if (limiter.remaining_upstream === null) return "–";
  return h("span", { title: ago(limiter.remaining_age_s) }, `${count(limiter.remaining_upstream)} left`);
}

// To the second: what is told anew with each answer would make the table jump.
function ago(s) {
  return s < 1 ? "just now" : `${duration(Math.round(s) * 1000).replace(/\.0+ s$/, " s")} ago`;
}

export function stateOf(backend) {
  const { breaker } = backend;
  if (backend.out_for_s) return h("span", { class: "mark bad" }, `out of service for ${seconds(backend.out_for_s)}: ${backend.out_because}`);
  if (breaker.state === "held") return h("span", { class: "mark watch" }, `held for ${seconds(breaker.next_try_in_s)}: ${words(breaker.because)}`);
  if (breaker.state !== "closed") return h("span", { class: "mark bad" }, `breaker ${words(breaker.state)} (${words(breaker.because)}), next try in ${seconds(breaker.next_try_in_s)}`);
  return h("span", { class: "mark ok" }, "sends");
}
