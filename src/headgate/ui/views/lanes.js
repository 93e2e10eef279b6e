// Who waits: how many, for how long, and on whose behalf.

import { spark } from "../chart.js";
import { controls, choice, SPANS } from "../controls.js";
import { h, section } from "../dom.js";
import { count, duration, named, seconds, share } from "../format.js";
import { address } from "../route.js";
import { table } from "../table.js";

export const title = () => "Lanes";
export const questions = ({ told }) => ({ waits: `/api/lanes?span=${told.get("span") ?? "1h"}` });

export function draw(news, { waits }) {
  if (news === null) return h("p", { class: "soft" }, "Asking the gateway …");
  return [
    section("Now", lanesNow(news)),
    section("Longest waiting", longest(news)),
    section("Waits of calls that were sent", controls(choice("Begun within", "span", SPANS, "1h")), waits === null ? h("p", { class: "soft" }, "Asking the ledger …") : past(waits.lanes)),
  ];
}

// Over all pools: a lane is as deep as all of its queues together, and as old as the oldest.
export function lanesNow(news) {
  const rows = Object.entries(news.lanes).map(([name, its]) => {
    const queues = news.limits.pools.map((pool) => pool.lanes[name]);
    return {
      name, its,
      waiting: queues.reduce((sum, queue) => sum + queue.waiting, 0),
      oldest_s: Math.max(0, ...queues.map((queue) => queue.oldest_s)),
      closed_s: Math.max(0, ...queues.map((queue) => queue.closed_for_s)),
      tenants: queues.flatMap((queue) => queue.top).filter((one) => one.waiting).sort((one, other) => other.waiting - one.waiting),
    };
  });
  return table({
    caption: "Lanes now",
    empty: "No lane is configured.",
    rows,
    columns: [
      { head: "lane", cell: (row) => [row.name, row.closed_s ? h("span", { class: "mark watch" }, `closed for ${seconds(row.closed_s)}`) : null] },
      { head: "waiting", num: true, cell: (row) => count(row.waiting) },
      { head: "oldest", num: true, cell: (row) => (row.waiting ? seconds(row.oldest_s) : "–") },
      { head: "last minutes", minor: true, cell: (row) => spark(news.past.map((moment) => moment.lanes[row.name] ?? 0), { label: `calls that waited in ${row.name}` }) },
      { head: "waits at most", num: true, cell: (row) => seconds(row.its.max_wait_s) },
      { head: "weight", num: true, minor: true, cell: (row) => row.its.weight },
      { head: "who waits most", minor: true, cell: (row) => !row.tenants.length ? "–" : row.tenants.slice(0, 3).map((one, index) => [index ? ", " : "", named(one.tenant), ` ${one.waiting}`]) },
    ],
  });
}

function longest(news) {
  const rows = news.limits.pools.flatMap((pool) => pool.longest_waiting.map((ticket) => ({ pool: pool.pool, ...ticket }))).sort((one, other) => other.waited_s - one.waited_s);
  return table({
    caption: "Calls that wait longest",
    empty: "Nobody waits.",
    rows: rows.slice(0, 20),
    columns: [
      { head: "call", cell: (row) => named(row.call, address("calls", {}, row.call)) },
      { head: "pool", minor: true, cell: (row) => row.pool },
      { head: "lane", cell: (row) => row.lane },
      { head: "on behalf of", minor: true, cell: (row) => named(row.tenant) },
      { head: "place", num: true, cell: (row) => count(row.position) },
      { head: "has waited", num: true, cell: (row) => seconds(row.waited_s) },
      { head: "waits about", num: true, cell: (row) => seconds(row.expected_s) },
    ],
  });
}

export function past(lanes) {
  return table({
    caption: "Waits by lane",
    empty: "No call was sent in this time.",
    rows: lanes,
    columns: [
      { head: "lane", cell: (row) => row.lane },
      { head: "calls", num: true, by: (row) => row.calls, cell: (row) => count(row.calls) },
      { head: "waited", num: true, cell: (row) => share(row.waited, row.calls) },
      { head: "p50", num: true, by: (row) => row.p50_ms, cell: (row) => duration(row.p50_ms) },
      { head: "p95", num: true, by: (row) => row.p95_ms, cell: (row) => duration(row.p95_ms) },
      { head: "longest", num: true, by: (row) => row.max_ms, cell: (row) => duration(row.max_ms) },
    ],
  });
}
