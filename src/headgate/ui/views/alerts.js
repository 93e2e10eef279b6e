// What fires, what is about to, and every rule with its runbook.

import { h, section } from "../dom.js";
import { at, words } from "../format.js";
import { inline } from "../markdown.js";
import { address } from "../route.js";
import { table } from "../table.js";

export const title = () => "Alerts";
export const questions = () => ({ alerts: "/api/alerts" });

const FOUR_HOURS_S = 4 * 3600;

export function draw(news, { alerts: told }) {
  if (news === null || told === null) return h("p", { class: "soft" }, "Asking the gateway …");
  const alerts = told.rules.filter((rule) => rule.severity !== "none").flatMap((rule) => rule.alerts.map((alert) => ({ rule, ...alert })));
  const pending = alerts.filter((alert) => alert.phase !== "firing");
  const others = news.health.concerns.filter((concern) => concern.view !== "alerts");
  return [
    section("Firing", told.enabled ? [lastEvaluation(told.last_evaluation), firing(alerts.filter((alert) => alert.phase === "firing"))] : h("p", { class: "empty" }, "This gateway does not watch itself: Prometheus may, by the rules of ", h("code", null, "headgate alerts rules"), ".")),
    pending.length ? section("About to fire", soon(pending)) : null,
    others.length ? section("What else stands in the way", concerns(others)) : null,
    told.silences.length ? section("Silences", silences(told.silences)) : null,
    section("Rules", rules(told.rules), h("p", { class: "note" }, "No data: there have been too few calls to judge by, or they do not go back far enough.")),
  ];
}

function concerns(rows) {
  return table({
    caption: "What else stands in the way",
    empty: "",
    rows,
    columns: [
      { head: "what", cell: (row) => h("a", { href: address(row.view) }, row.title) },
      { head: "level", cell: (row) => h("span", { class: `mark ${row.level}` }, row.level) },
      { head: "detail", wordy: true, cell: (row) => row.detail },
    ],
  });
}

function lastEvaluation(its) {
  return h("p", { class: its.stale ? "" : "soft" }, its.stale ? h("span", { class: "mark bad" }, "not watched") : null, ` Rules: ${its.words}.`);
}

const button = (text, act, body, label) => h("button", { type: "button", "data-act": act, "data-body": JSON.stringify(body), "aria-label": label }, text);

const ALERT = { head: "alert", cell: (row) => [h("a", { href: address("runbooks", {}, row.rule.runbook) }, row.rule.title), " ", h("span", { class: "soft named" }, row.rule.number)] };
const STATE = { head: "state", cell: (row) => h("span", { class: `mark ${levelOf(row.rule, row.phase)}` }, `${words(row.phase)}, ${row.rule.severity}`) };
const SINCE = { head: "since", minor: true, cell: (row) => at(row.since_ms) };

function firing(rows) {
  return table({
    caption: "Alerts that fire",
    empty: "No alert fires.",
    rows,
    columns: [
      ALERT,
      STATE,
      { head: "what is wrong", wordy: true, cell: (row) => [row.text, examples(row), acts(row)] },
      SINCE,
      { head: "who takes care", cell: care },
    ],
  });
}

function soon(rows) {
  return table({
    caption: "Alerts that are about to fire",
    empty: "",
    rows,
    columns: [
      ALERT,
      STATE,
      { head: "what is wrong", wordy: true, cell: (row) => [row.text, examples(row)] },
      SINCE,
    ],
  });
}

// Calls, addresses and the like, which no label of a metric may hold.
function examples(row) {
  return row.examples.length ? h("ul", { class: "soft" }, row.examples.map((each) => h("li", null, each))) : null;
}

function acts(row) {
  return h("span", { class: "acts" },
    h("a", { href: address("runbooks", {}, row.rule.runbook), "aria-label": `What to do: ${row.rule.title}` }, "What to do"),
    row.acknowledged ? null : button("Acknowledge", "/api/alerts/acknowledge", { key: row.key, for_s: FOUR_HOURS_S }, `Acknowledge ${row.rule.title} for four hours`),
    row.silence ? null : button("Silence 4 h", "/api/alerts/silence", { rule: row.rule.id, labels: row.labels, for_s: FOUR_HOURS_S }, `Silence ${row.rule.title} for four hours`));
}

function care(row) {
  if (row.silence) return ["silent until ", at(row.silence.until_ms), `, by ${row.silence.by}`];
  return row.acknowledged ? [`${row.acknowledged.by}, until `, at(row.acknowledged.until_ms)] : "–";
}

function silences(rows) {
  const labels = (row) => Object.entries(row.labels).map(([name, value]) => `${name} ${value}`).join(", ");
  return table({
    caption: "Silences",
    empty: "",
    rows,
    columns: [
      { head: "of", cell: (row) => [row.rule ?? "every rule", labels(row) ? h("span", { class: "soft" }, ` ${labels(row)}`) : null] },
      { head: "until", cell: (row) => at(row.until_ms) },
      { head: "by", cell: (row) => row.by },
      { head: "why", minor: true, cell: (row) => row.why || "–" },
      { head: "do", cell: (row) => button("End", "/api/alerts/unsilence", { id: row.id }, `End the silence of ${row.rule ?? "every rule"}`) },
    ],
  });
}

export function levelOf(rule, phase) {
  if (phase === "firing" && rule.severity !== "none") return rule.severity === "page" ? "bad" : "watch";
  return { pending: "watch", ok: "ok" }[phase] ?? "";
}

export function rules(rows) {
  return table({
    caption: "Rules",
    empty: "No rule is evaluated here.",
    rows,
    columns: [
      { head: "rule", cell: (row) => [h("a", { href: address("runbooks", {}, row.runbook) }, row.title), " ", h("span", { class: "soft named" }, row.number)] },
      { head: "state", cell: (row) => h("span", { class: `mark ${levelOf(row, row.phase)}` }, words(row.phase)) },
      { head: "severity", cell: (row) => row.severity },
      { head: "what it means", minor: true, wordy: true, cell: (row) => inline(row.means) },
    ],
  });
}
