// Numbers, money and times as people read them; the exact value is always one hover away.

import { h } from "./dom.js";

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 3 });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const date = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });

export const NONE = "–";

export function count(value) {
  return value === null || value === undefined ? NONE : whole.format(value);
}

export function tokens(value) {
  if (value === null || value === undefined) return NONE;
  return value < 10000 ? whole.format(value) : h("data", { value, title: `${whole.format(value)} tokens` }, short.format(value));
}

// `exact` is text: money has more digits than a number of this language holds.
export function money(exact) {
  if (exact === null || exact === undefined) return h("span", { class: "soft" }, "unknown");
  return h("data", { value: exact, title: `$${exact}` }, rounded(exact));
}

function rounded(exact) {
  const value = Number(exact);
  const size = Math.abs(value);
  if (size === 0) return "$0.00";
  const digits = size >= 1 ? 2 : size >= 0.01 ? 4 : 6;
  const text = size.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return `${value < 0 ? "−" : ""}$${text}`;
}

export function share(part, all) {
  return all ? percent(part / all) : NONE;
}

// As headgate.core.shown: three digits that say something.
export function percent(value) {
  if (value === null || value === undefined) return NONE;
  const size = Math.abs(value) * 100;
  if (size > 0 && size < 0.001) return "under 0.001 %";
  if (value * 100 >= 99.95 && value < 1) return "over 99.9 %";
  return `${size >= 100 ? whole.format(value * 100) : Number((value * 100).toPrecision(3))} %`;
}

export function duration(ms) {
  if (ms === null || ms === undefined) return NONE;
  if (ms < 1) return "0 ms";
  if (ms < 1000) return `${ms.toFixed(0)} ms`;
  if (ms < 10000) return `${(ms / 1000).toFixed(2)} s`;
  if (ms < 120000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 7200000) return `${(ms / 60000).toFixed(0)} min`;
  return ms < 172800000 ? `${(ms / 3600000).toFixed(0)} h` : `${(ms / 86400000).toFixed(0)} days`;
}

export function seconds(s) {
  return s === null || s === undefined ? NONE : duration(s * 1000);
}

export function at(ms) {
  const when = new Date(ms);
  return h("time", { datetime: when.toISOString(), title: when.toISOString() }, date.format(when));
}

export function timeOf(ms) {
  return clock.format(new Date(ms));
}

// A name that somebody chose: however long it is, it takes no more room than others; all of it is in the tooltip.
export function named(text, address = null) {
  if (text === null || text === undefined) return NONE;
  return h(address === null ? "span" : "a", { class: "named", title: text, href: address }, text);
}

export function words(name) {
  return name === null || name === undefined ? NONE : String(name).replaceAll("_", " ");
}
