// A runbook: what an alert means, what to do, and how its rules stand now.

import { h, section } from "../dom.js";
import { markdown } from "../markdown.js";
import { address } from "../route.js";
import { rules } from "./alerts.js";

export const title = ({ thing }) => `Runbook: ${String(thing).replaceAll("_", " ")}`;
export const questions = ({ thing }) => ({ runbook: `/api/runbooks/${encodeURIComponent(thing)}`, alerts: "/api/alerts" });

export function draw(news, { runbook, alerts }, { thing }) {
  if (runbook === null || alerts === null) return h("p", { class: "soft" }, "Asking the gateway …");
  const its = alerts.rules.filter((rule) => rule.runbook === thing);
  const others = alerts.rules.filter((rule) => rule.runbook !== thing).flatMap((rule) => [rule.id, rule.runbook].map((name) => [name, address("runbooks", {}, rule.runbook)]));
  return [
    its.length ? section("How it stands", standing(its), rules(its)) : null,
    h("article", { class: "prose" }, h("p", { class: "lead" }, runbook.title), markdown(runbook.text, new Map(others))),
  ];
}

function standing(its) {
  const texts = its.flatMap((rule) => rule.alerts.map((alert) => alert.text));
  return texts.length ? h("p", null, texts.join(" "), " ", h("a", { href: address("alerts") }, "Acknowledge or silence")) : null;
}
