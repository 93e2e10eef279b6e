// A runbook: what an alert means, and what to do.

import { h } from "../dom.js";
import { markdown } from "../markdown.js";

export const title = ({ thing }) => `Runbook: ${String(thing).replaceAll("_", " ")}`;
export const questions = ({ thing }) => ({ runbook: `/api/runbooks/${encodeURIComponent(thing)}` });

export function draw(news, { runbook }) {
  if (runbook === null) return h("p", { class: "soft" }, "Asking the gateway …");
  return h("article", { class: "prose" }, h("p", { class: "lead" }, runbook.title), markdown(runbook.text));
}
