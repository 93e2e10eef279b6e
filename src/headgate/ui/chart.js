// Small drawings.  Each says in words what it shows, and stands beside the numbers it is drawn from.

import { svg } from "./dom.js";

const picture = (label, width, height, kind, ...drawn) =>
  svg("svg", { class: kind, role: "img", "aria-label": label, viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none" }, drawn);

const round = (number) => Math.round(number * 100) / 100;

// A line of values over time on a scale up to `most`, and in red how many of them were bad.
export function spark(values, { label, bad = [], most = Math.max(...values, Number.MIN_VALUE), width = 120, height = 24 }) {
  const x = (index) => round((index / Math.max(1, values.length - 1)) * width);
  const y = (value) => round(height - 1 - (value / most) * (height - 3));
  const points = values.map((value, index) => `${x(index)},${y(value)}`).join(" ");
  const told = values.length ? `${label}: most ${round(Math.max(...values))}, last ${round(values.at(-1))}` : `${label}: nothing yet`;
  const step = width / Math.max(1, values.length);
  return picture(
    told, width, height, "spark",
    svg("polygon", { class: "under", points: `0,${height} ${points} ${width},${height}` }),
    bad.map((value, index) => value > 0 && svg("rect", { class: "bad", x: round(index * step), width: round(step), y: y(value), height: round(height - y(value)) })),
    svg("polyline", { class: "line", points }),
  );
}

const MONTH = 31;

// Columns as narrow as those of a month, one for each of `rows` ({name, value, text}).
export function columns(rows, { label, height = 96 }) {
  const most = Math.max(Number.MIN_VALUE, ...rows.map((row) => row.value));
  const width = Math.max(MONTH, rows.length) * 10;
  return picture(
    label, width, height, "columns",
    rows.map((row, index) => {
      const tall = round((Math.max(0, row.value) / most) * (height - 2));
      return svg("rect", { x: index * 10 + 1, width: 8, y: height - tall, height: tall }, svg("title", null, `${row.name}: ${row.text}`));
    }),
    svg("line", { class: "axis", x1: 0, x2: width, y1: height - 0.5, y2: height - 0.5 }),
  );
}

// How much of a whole is taken (`used`) and set aside (`held`), both from 0 to 1.
export function meter({ used, held = 0, label, level = "ok" }) {
  const part = (value) => round(Math.min(1, Math.max(0, value)) * 100);
  return picture(
    label, 100, 8, `meter ${level}`,
    svg("rect", { class: "track", width: 100, height: 8 }),
    svg("rect", { class: "used", width: part(used), height: 8 }),
    svg("rect", { class: "held", x: part(used), width: Math.min(part(held), 100 - part(used)), height: 8 }),
  );
}

// What is spent, where it goes (from `low` to `high`), and what is expected, on a scale up to `most`.
export function outlook({ spent, low, high, expected, cap = null, most, label }) {
  const x = (value) => round((Math.min(value, most) / (most || 1)) * 200);
  return picture(
    label, 200, 12, "outlook",
    svg("rect", { class: "track", width: 200, height: 12 }),
    svg("rect", { class: "range", x: x(low), width: Math.max(1, x(high) - x(low)), height: 12 }),
    svg("rect", { class: "used", y: 3, width: x(spent), height: 6 }),
    svg("rect", { class: "expected", x: x(expected) - 1, width: 2, height: 12 }),
    cap !== null && svg("rect", { class: "cap", x: Math.min(198, x(cap)), width: 2, height: 12 }),
  );
}

// Where the time of a call went: one row for each attempt.
export function gantt(spans, { total, label }) {
  const rows = Math.max(1, ...spans.map((span) => span.attempt));
  const x = (ms) => round((ms / Math.max(1, total)) * 1000);
  return picture(
    label, 1000, rows * 20, "gantt",
    spans.map((span) =>
      svg("rect", { class: span.what.replace(" ", "-"), x: x(span.from_ms), width: Math.max(2, x(span.to_ms) - x(span.from_ms)), y: (span.attempt - 1) * 20 + 3, height: 14 },
        svg("title", null, `attempt ${span.attempt}, ${span.what}: ${Math.round(span.to_ms - span.from_ms)} ms`))),
  );
}
