// What somebody should look at.

import { h, section } from "../dom.js";
import { address } from "../route.js";
import { table } from "../table.js";

export const title = () => "Alerts";
export const questions = () => ({});

export function draw(news) {
  if (news === null) return h("p", { class: "soft" }, "Asking the gateway …");
  return section("Now", table({
    caption: "What stands in the way now",
    empty: "Nothing stands in the way of calls.",
    rows: news.health.concerns,
    columns: [
      { head: "what", cell: (row) => h("a", { href: address(row.view) }, row.title) },
      { head: "level", cell: (row) => h("span", { class: `mark ${row.level}` }, row.level) },
      { head: "detail", cell: (row) => row.detail },
    ],
  }));
}
