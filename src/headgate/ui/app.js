// The page: one view at a time, drawn from the gateway's news and from the answers to the view's own questions.

import { act, ask } from "./api.js";
import { h } from "./dom.js";
import { timeOf } from "./format.js";
import { Live } from "./live.js";
import { morphChildren } from "./morph.js";
import { remembered } from "./past.js";
import { changed, here } from "./route.js";
import { chooseTheme } from "./theme.js";
import * as alerts from "./views/alerts.js";
import * as cache from "./views/cache.js";
import * as call from "./views/call.js";
import * as calls from "./views/calls.js";
import * as lanes from "./views/lanes.js";
import * as limits from "./views/limits.js";
import * as now from "./views/now.js";
import * as runbook from "./views/runbook.js";
import * as spend from "./views/spend.js";
import * as workflows from "./views/workflows.js";

const VIEWS = { now, limits, lanes, workflows, spend, calls, cache, alerts };
const ABOUT = { calls: call, runbooks: runbook };
const UNDER = { runbooks: "alerts" };
const AGAIN_S = 10;

const main = document.getElementById("main");
const page = { news: null, past: [], answers: new Map(), shown: null, lost_ms: null };

function viewOf({ view, thing }) {
  return (thing !== null && ABOUT[view]) || (Object.hasOwn(VIEWS, view) ? VIEWS[view] : now);
}

function draw() {
  const place = here();
  const view = viewOf(place);
  const told = Object.fromEntries(Object.entries(view.questions(place)).map(([name, path]) => [name, page.answers.get(path) ?? null]));
  const trouble = Object.values(told).find((answer) => answer instanceof Error);
  const fresh = h("main", null,
    h("h1", { tabindex: -1 }, view.title(place)),
    isLost() ? h("p", { class: "trouble", role: "alert" }, `Not connected since ${timeOf(page.lost_ms)}: live figures are out of date. Trying again …`) : null,
    trouble ? h("p", { class: "trouble", role: "alert" }, trouble.message) : view.draw(page.news, told, place));
  morphChildren(main, fresh);
}

async function question(path) {
  try {
    page.answers.set(path, await ask(path));
  } catch (problem) {
    page.answers.set(path, problem);
  }
  draw();
}

function askAll() {
  for (const path of Object.values(viewOf(here()).questions(here()))) question(path);
}

// To another place: what was known of it is shown at once, and asked for anew.
function go() {
  const place = here();
  const name = place.view + (place.thing ?? "");
  const paths = new Set(Object.values(viewOf(place).questions(place)));
  for (const path of page.answers.keys()) if (!paths.has(path)) page.answers.delete(path);
  for (const link of document.querySelectorAll("#views a")) {
    if (link.hash === `#/${UNDER[place.view] ?? place.view}`) {
      link.setAttribute("aria-current", "page");
      link.parentElement.scrollLeft = link.offsetLeft - link.parentElement.clientWidth / 2;
    } else link.removeAttribute("aria-current");
  }
  entitle();
  draw();
  askAll();
  if (page.shown !== null && page.shown !== name) {
    scrollTo(0, 0);
    main.querySelector("h1").focus({ preventScroll: true });
  }
  page.shown = name;
}

// A tab in the background tells by its name that something is wrong.
function entitle() {
  const place = here();
  document.title = `${page.news?.health.level === "bad" ? "✕ " : ""}${viewOf(place).title(place)} · Headgate`;
}

const WORDS = { ok: "Healthy", watch: "Something to watch", bad: "Something is wrong" };

function hear(news) {
  const said = document.getElementById("said");
  const state = WORDS[news.health.level];
  if (said.textContent !== state) said.textContent = state;
  if (page.lost_ms === null) {
    document.documentElement.dataset.health = news.health.level;
    document.getElementById("connection").textContent = `Live · ${timeOf(news.at_ms)} · Headgate ${news.version} → ${news.upstream}`;
  }
  page.past = remembered(page.past, news);
  page.news = { ...news, past: page.past };
  entitle();
  draw();
}

const GRACE_MS = 5000;

// A connection that was away for a moment is worth no word on the page itself.
const isLost = () => page.lost_ms !== null && Date.now() - page.lost_ms >= GRACE_MS;

function connection(connected) {
  if (connected) page.lost_ms = null;
  else if (page.lost_ms === null) {
    page.lost_ms = Date.now();
    delete document.documentElement.dataset.health;
    document.getElementById("connection").textContent = "Not connected: live figures are out of date. Trying again …";
    setTimeout(draw, GRACE_MS);
  }
}

main.addEventListener("change", ({ target }) => {
  if (target.dataset.sets) location.hash = changed({ [target.dataset.sets]: target.value, before: null });
});
main.addEventListener("submit", (event) => {
  event.preventDefault();
  location.hash = changed({ ...Object.fromEntries(new FormData(event.target)), before: null });
});
main.addEventListener("click", async ({ target }) => {
  const button = target.closest("button[data-act]");
  if (button === null) return;
  button.disabled = true;
  try {
    await act(button.dataset.act, button.dataset.body ? JSON.parse(button.dataset.body) : null);
  } catch (problem) {
    document.getElementById("said").textContent = problem.message;
  }
  button.disabled = false;
  askAll();
});
document.getElementById("logout").addEventListener("click", async () => {
  await act("/logout");
  location.assign("/login");
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});

chooseTheme(document.getElementById("theme"));
addEventListener("hashchange", go);
setInterval(() => document.visibilityState === "visible" && askAll(), AGAIN_S * 1000);
go();
ask("/api/now").then((news) => {
  document.getElementById("logout").hidden = !news.session;
  hear(news);
}, () => {});
new Live(hear, connection);
