// The page "Bakehouse images": as a component of Airflow's UI, and by itself.
//
// Of the host it uses React (to be put into the page) and the router (to follow links), if they are
// there. Everything else is plain DOM. Its only global name is that of the component.

import { freeze, revoke, rollOut, unfreeze } from "./actions.js";
import { difference } from "./difference.js";
import { h } from "./dom.js";
import { plots } from "./plots.js";
import { assetEvents, images, members, oneImage, timeline } from "./views.js";

const NAME = "Bakehouse images";
const BASE = new URL(".", import.meta.url);
const AIRFLOW = new URL("..", BASE);
const VIEWS = { timeline: "Timeline", images: "Images", members: "Who runs what", plots: "Plots", compare: "Compare" };
const STATES = ["candidate", "failed", "promoted", "history", "deprecated", "obsolete", "revoked", "deleted"];
const FILTERS = { timeline: ["recipe", "fleet", "search", "first", "last"], images: ["recipe", "state", "search", "first", "last"], members: ["fleet", "search"], plots: ["recipe"], compare: [], image: [] };
const LIMIT = 25;

class App {
  constructor(place, host) {
    this.place = place;
    this.host = host;
    this.notice = null;
    this.asked = 0;
    this.onpop = () => this.refresh();
    globalThis.addEventListener("popstate", this.onpop);
    this.refresh();
  }

  stop() {
    this.asked += 1;
    globalThis.removeEventListener("popstate", this.onpop);
    this.place.replaceChildren();
  }

  // -- the address ------------------------------------------------------------------------------

  get wanted() {
    const found = Object.fromEntries(new URLSearchParams(globalThis.location.search));
    const view = found.view in VIEWS || found.view === "image" ? found.view : "timeline";
    return { ...found, ...this.limits, view };
  }

  address(changes) {
    const address = new URL(globalThis.location.href);
    address.search = new URLSearchParams(Object.entries(changes).filter(([, value]) => value)).toString();
    return address;
  }

  go(changes, focus = null) {
    globalThis.history.pushState(globalThis.history.state, "", this.address(changes));
    this.notice = null;
    return this.refresh(focus);
  }

  link(changes, ...children) {
    const href = this.address(changes).href;
    return h("a", { href, onclick: (event) => this.#follow(event, () => this.go(changes)) }, ...children);
  }

  runLink(dagId, runId, text, task = "") {
    const path = `dags/${encodeURIComponent(dagId)}/runs/${encodeURIComponent(runId)}${task && `/tasks/${encodeURIComponent(task)}`}`;
    const go = this.host.navigate;
    return h("a", { href: new URL(path, AIRFLOW).href, onclick: (event) => go && this.#follow(event, () => go(`/${path}`)) }, text);
  }

  #follow(event, go) {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    go();
  }

  // -- questions --------------------------------------------------------------------------------

  async ask(path, parameters = {}) {
    const address = new URL(`api/v1/${path}`, BASE);
    for (const [name, value] of Object.entries(parameters)) if (value) address.searchParams.set(name, value);
    return this.#answer(await fetch(address, { credentials: "same-origin" }));
  }

  async airflow(method, path, body) {
    const headers = { "Content-Type": "application/json" };
    const sent = { method, headers, credentials: "same-origin", body: body && JSON.stringify(body) };
    return this.#answer(await fetch(new URL(`api/v2/${path}`, AIRFLOW), sent));
  }

  async #answer(response) {
    if (response.status === 204) return {};
    const told = await response.json().catch(() => ({}));
    if (response.ok) return told;
    if (response.status === 401) throw new Error("You are not logged in any more: log in again.");
    if (response.status === 403) throw new Error("You may not do this: it needs a right that you do not have.");
    const detail = typeof told.detail === "string" ? told.detail : JSON.stringify(told.detail ?? "");
    throw new Error(`The server answers ${response.status}: ${detail}`);
  }

  // -- what the views ask -----------------------------------------------------------------------

  get rights() {
    return this.summary.rights;
  }

  newest(recipe) {
    return this.summary.recipes.find((one) => one.recipe === recipe)?.newest ?? null;
  }

  tell(what) {
    this.notice = what;
  }

  actions(one, all = false) {
    const fleets = (this.summary.recipes.find((other) => other.recipe === one.recipe)?.fleets ?? []).filter((fleet) => this.rights.roll_out.includes(fleet));
    const usable = ["promoted", "history", "deprecated"].includes(one.state);
    const newest = this.newest(one.recipe);
    const button = (text, name, run, more = "") =>
      h("button", { type: "button", class: `bh-button bh-small ${more}`, "aria-label": `${text} ${name}`, onclick: () => Promise.resolve(run()).catch((error) => { this.tell(error.message); this.refresh(); }) }, text);
    return h(
      "div",
      { class: "bh-buttons" },
      usable && fleets.length > 0 && button("Roll out…", one.image, () => rollOut(this, one.image, fleets)),
      newest && newest !== one.image && this.link({ view: "compare", old: one.image, new: newest }, "Compare with the newest"),
      this.runLink(one.dag_id, one.run_id, "Run"),
      this.runLink(one.dag_id, one.run_id, "Log", "wait_for_shutdown"),
      all && usable && this.rights.revoke && button("Revoke…", one.image, () => revoke(this, one.image), "bh-danger"),
    );
  }

  // -- the page ---------------------------------------------------------------------------------

  async refresh(focus = null) {
    this.asked += 1;
    const turn = this.asked;
    try {
      this.summary = await this.ask("summary");
      this.limits = this.#limits();
      const content = this.limits === null ? h("p", { class: "bh-empty" }, "This DAG neither bakes an image nor rolls one out. ", h("a", { href: new URL("plugin/bakehouse_images", AIRFLOW).href }, "All images")) : await this.#content(this.wanted);
      if (turn !== this.asked) return;
      this.place.replaceChildren(...this.#frame(content).filter(Boolean));
      if (focus) this.place.querySelector(focus)?.focus();
    } catch (error) {
      if (turn === this.asked) this.place.replaceChildren(h("p", { class: "bh-problem", role: "alert" }, error.message));
    }
  }

  // What the tab of a DAG is limited to; null for a DAG of something else.
  #limits() {
    const dag = this.host.dagId;
    if (!dag) return {};
    if (dag.startsWith("bake__")) return { recipe: dag.slice(6) };
    if (dag.startsWith("roll_out__")) return { fleet: dag.slice(10) };
    return null;
  }

  #frame(content) {
    const wanted = this.wanted;
    return [
      h("h2", { class: "bh-title" }, this.host.dagId ? "Images of this DAG" : "Images"),
      ...this.#notices(),
      this.limits && h(
        "nav",
        { class: "bh-views", "aria-label": "Views" },
        Object.entries(VIEWS).map(([view, text]) => {
          const link = this.link({ view, recipe: wanted.recipe, fleet: wanted.fleet }, text);
          if (wanted.view === view) link.setAttribute("aria-current", "page");
          return link;
        }),
        h("span", { class: "bh-space" }),
        this.rights.freeze && h("button", { type: "button", class: "bh-button bh-small", onclick: () => (this.summary.frozen ? unfreeze(this) : freeze(this)) }, this.summary.frozen ? "End the freeze…" : "Freeze…"),
      ),
      this.limits && this.#filters(wanted),
      content,
    ];
  }

  #notices() {
    const { source, frozen, holds, rollouts } = this.summary;
    const limits = this.limits ?? {};
    const ours = (one) => !limits.fleet || one.fleet === limits.fleet;
    const note = (text, kind = "") => h("p", { class: `bh-notice ${kind}`, role: "status" }, text);
    return [
      this.notice && note(this.notice, "bh-done"),
      source.problem && note(`${source.problem}. What Airflow itself knows is shown instead.`, "bh-warning"),
      frozen && note(`All fleets are ${frozen}`, "bh-warning"),
      ...holds.filter(ours).map((one) => note([h("strong", null, one.image), ` is held back from the fleet ${one.fleet} by ${one.by} since `, new Date(one.since).toISOString().slice(0, 16).replace("T", " "), ` UTC; it went back to ${one.instead}`, one.why && `: ${one.why}`], "bh-warning")),
      ...rollouts.filter(ours).map((one) => note([`The fleet ${one.fleet}, rollout to ${one.image}: ${one.state}${one.why ? ` ${one.why}` : ""}, ${one.moved} of ${one.members} members. `, this.runLink(one.dag_id, one.run_id, "Run")])),
    ];
  }

  #filters(wanted) {
    const names = FILTERS[wanted.view].filter((name) => !(name in this.limits) && !(name === "recipe" && this.limits.fleet));
    if (names.length === 0) return null;
    const change = (name, focus) => (event) => this.go({ ...wanted, offset: "", [name]: event.target.value }, focus);
    const choice = (name, label, options, all) => [
      h("label", { for: `bh-${name}` }, label),
      h("select", { id: `bh-${name}`, onchange: change(name, `#bh-${name}`) }, all && h("option", { value: "" }, all), options.map((one) => h("option", { value: one, selected: wanted[name] === one }, one))),
    ];
    const input = (name, label, type) => [
      h("label", { for: `bh-${name}` }, label),
      h("input", { id: `bh-${name}`, type, value: wanted[name] ?? "", onchange: change(name, `#bh-${name}`), placeholder: type === "search" ? "hash, image or subject" : null }),
    ];
    const every = {
      recipe: () => choice("recipe", "Recipe", this.summary.recipes.map((one) => one.recipe), wanted.view === "plots" ? null : "all"),
      fleet: () => choice("fleet", "Fleet", this.summary.fleets, "all"),
      state: () => choice("state", "State", STATES, "all"),
      search: () => input("search", "Search", "search"),
      first: () => input("first", "From", "date"),
      last: () => input("last", "Until", "date"),
    };
    return h("form", { class: "bh-filters", role: "search", onsubmit: (event) => event.preventDefault() }, names.map((name) => h("div", { class: "bh-filter" }, every[name]())));
  }

  async #content(wanted) {
    if (!this.summary.source.ledger) return assetEvents(this, (await this.ask("asset-events")).images);
    const { recipe, fleet, state, search, first, last, offset } = wanted;
    const asked = { recipe, fleet, search, first, last, offset, limit: LIMIT };
    switch (wanted.view) {
      case "images":
        return this.#page(await this.ask("images", { ...asked, state }), "images", images);
      case "members":
        return this.#page(await this.ask("members", asked), "members", members);
      case "plots":
        return this.#plots(recipe || this.#recipeOf(fleet));
      case "compare":
        return this.#compare(wanted);
      case "image":
        return oneImage(this, await this.ask(`images/${encodeURIComponent(wanted.image ?? "")}`));
      default:
        return this.#page(await this.ask("timeline", asked), "entries", timeline);
    }
  }

  #recipeOf(fleet) {
    const recipes = this.summary.recipes;
    return (recipes.find((one) => one.fleets.includes(fleet)) ?? recipes[0])?.recipe;
  }

  async #plots(recipe) {
    if (!recipe) return h("p", { class: "bh-empty" }, "There is no image yet.");
    const [series, found] = await Promise.all([this.ask(`series/${encodeURIComponent(recipe)}`), this.ask("members", { recipe, fleet: this.limits.fleet, limit: 200 })]);
    return plots(series, found.members);
  }

  async #compare(wanted) {
    const recipe = wanted.recipe || this.#recipeOf(wanted.fleet);
    const [known, running] = await Promise.all([this.ask("images", { recipe, limit: 200 }), this.ask("members", { recipe, limit: 200 })]);
    const field = (name, label, options) =>
      h("div", { class: "bh-filter" }, h("label", { for: `bh-${name}` }, label), h("input", { id: `bh-${name}`, name, list: `bh-list-${name}`, value: wanted[name] ?? "", required: true, size: "44" }), h("datalist", { id: `bh-list-${name}` }, options.map((one) => h("option", { value: one }))));
    const form = h(
      "form",
      {
        class: "bh-filters",
        onsubmit: (event) => {
          event.preventDefault();
          const chosen = Object.fromEntries(new FormData(event.target));
          this.go({ ...wanted, ...chosen }, "#bh-old");
        },
      },
      field("old", "From an image, or fleet/member", [...known.images.map((one) => one.image), ...running.members.map((one) => `${one.fleet}/${one.member}`)]),
      field("new", "To an image", known.images.map((one) => one.image)),
      h("button", { type: "submit", class: "bh-button bh-primary" }, "Compare"),
    );
    if (!(wanted.old && wanted.new)) return h("div", null, form);
    const old = wanted.old.includes("/") ? { member: wanted.old } : { old: wanted.old };
    return h("div", null, form, difference(await this.ask("diff", { ...old, new: wanted.new })));
  }

  #page(answer, name, view) {
    const offset = answer.offset;
    const shown = answer[name].length;
    const step = (text, to, enabled) => h("button", { type: "button", class: "bh-button bh-small", disabled: !enabled, onclick: () => this.go({ ...this.wanted, offset: to > 0 ? String(to) : "" }) }, text);
    return h(
      "div",
      null,
      view(this, answer[name]),
      answer.total > 0 && h("div", { class: "bh-paging" }, h("span", { role: "status" }, `${offset + 1} to ${offset + shown} of ${answer.total}`), step("Newer", Math.max(offset - LIMIT, 0), offset > 0), step("Older", offset + LIMIT, offset + shown < answer.total)),
    );
  }
}

function withStyle() {
  const href = new URL("page.css", BASE).href;
  if (!document.querySelector(`link[href="${href}"]`)) document.head.append(h("link", { rel: "stylesheet", href }));
}

export function mount(place, host) {
  withStyle();
  place.classList.add("bh");
  place.append(h("p", { class: "bh-empty" }, "Reading the history…"));
  const app = new App(place, host);
  return () => app.stop();
}

function component() {
  const { React, ReactRouterDOM } = globalThis;
  if (!React?.createElement || !React.useEffect || !React.useRef) {
    return () => `This version of Airflow's UI does not offer what the page needs. It is also at ${BASE.href}`;
  }
  const useNavigate = ReactRouterDOM?.useNavigate ?? (() => null);
  return function BakehouseImages({ dagId }) {
    const place = React.useRef(null);
    const navigate = useNavigate();
    React.useEffect(() => mount(place.current, { dagId, navigate }), [dagId]);
    return React.createElement("div", { ref: place, className: "bh" });
  };
}

const alone = document.getElementById("bakehouse-images");
if (alone) mount(alone, { dagId: new URLSearchParams(globalThis.location.search).get("dag") });
else globalThis[NAME] = component();
