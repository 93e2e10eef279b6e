// Tables, sorted by what stands in the page's address.

import { h } from "./dom.js";
import { changed, here } from "./route.js";

const DENSE = 12;

// columns: {head, cell(row), num?, minor?, wordy?, by?(row)}; one with `by` can be sorted by.
// `rest` is a row that is last however the others are sorted; `total` is one more row of cells.
export function table({ caption, columns, rows, rest = null, total = null, empty, sort = null }) {
  if (!rows.length) return h("p", { class: "empty" }, empty);
  const order = here().told.get("sort") ?? sort;
  return h("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": caption },
    h("table", { class: columns.length >= DENSE ? "dense" : null },
      h("caption", { class: "unseen" }, caption),
      h("thead", null, h("tr", null, columns.map((column) => heading(column, order)))),
      h("tbody", null, [...sorted(rows, columns, order), ...(rest === null ? [] : [rest])].map((row) => h("tr", null, columns.map((column, index) => cell(column, index, column.cell(row)))))),
      total !== null && h("tfoot", null, h("tr", null, columns.map((column, index) => cell(column, index, total[index] ?? "")))),
    ));
}

const kind = (column) => [column.num && "num", column.minor && "minor", column.wordy && "wordy"].filter(Boolean).join(" ") || null;

function cell(column, index, value) {
  return h(index === 0 ? "th" : "td", { class: kind(column), scope: index === 0 ? "row" : null }, value);
}

function heading(column, order) {
  if (!column.by) return h("th", { scope: "col", class: kind(column) }, column.head);
  const name = column.head.replaceAll(" ", "-");
  const falling = order === `-${name}`;
  const rising = order === name;
  const next = falling ? name : `-${name}`;
  return h("th", { scope: "col", class: kind(column), "aria-sort": falling ? "descending" : rising ? "ascending" : null },
    h("a", { href: changed({ sort: next }) }, column.head, h("span", { class: "arrow", "aria-hidden": "true" }, falling ? " ↓" : rising ? " ↑" : "")));
}

function sorted(rows, columns, order) {
  const column = columns.find((each) => each.by && order !== null && each.head.replaceAll(" ", "-") === order.replace(/^-/, ""));
  if (!column) return rows;
  const sign = order.startsWith("-") ? -1 : 1;
  const rank = (row) => column.by(row) ?? -Infinity;
  return [...rows].sort((one, other) => sign * (rank(one) > rank(other) ? 1 : rank(one) < rank(other) ? -1 : 0));
}
