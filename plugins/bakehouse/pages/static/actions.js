// Dialogs that start a run by Airflow's own API, as its forms do. Cancel is chosen beforehand.

import { h } from "./dom.js";

const FREEZE = "bakehouse_freeze";

let asked = 0;

function field(label, control, help) {
  asked += 1;
  control.id = `bh-field-${asked}`;
  return h("div", { class: "bh-field" }, h("label", { for: control.id }, label), control, help && h("p", { class: "bh-help" }, help));
}

// Shows a dialog; `send` returns a promise of what to tell, and a failure keeps the dialog open.
function ask(app, title, parts, verb, send, danger = false) {
  const problem = h("p", { class: "bh-problem", role: "alert" });
  const done = h("button", { type: "submit", class: danger ? "bh-button bh-danger" : "bh-button bh-primary" }, verb);
  const cancel = h("button", { type: "button", class: "bh-button", autofocus: true, onclick: () => dialog.close() }, "Cancel");
  const form = h(
    "form",
    {
      method: "dialog",
      onsubmit: async (event) => {
        event.preventDefault();
        done.disabled = true;
        problem.textContent = "";
        try {
          app.tell(await send());
          dialog.close();
          app.refresh();
        } catch (error) {
          problem.textContent = error.message;
          done.disabled = false;
        }
      },
    },
    h("h2", null, title),
    parts,
    problem,
    h("div", { class: "bh-buttons" }, cancel, done),
  );
  const dialog = h("dialog", { class: "bh-dialog", "aria-label": title, onclose: () => dialog.remove() }, form);
  app.place.append(dialog);
  dialog.showModal();
  cancel.focus();
}

async function start(app, dagId, conf) {
  const run = await app.airflow("POST", `dags/${encodeURIComponent(dagId)}/dagRuns`, { logical_date: null, conf });
  return h("span", null, "Started ", app.runLink(dagId, run.dag_run_id, `${dagId}, run ${run.dag_run_id}`));
}

export async function rollOut(app, image, fleets) {
  const fleet = h("select", { name: "fleet" }, fleets.map((one) => h("option", { value: one }, one)));
  const shown = h("input", { name: "image", value: image, required: true });
  const only = h("input", { name: "members", placeholder: "all members" });
  const planned = h("input", { name: "plan_only", type: "checkbox" });
  const why = h("input", { name: "why", maxlength: "500" });
  const params = (await app.airflow("GET", `dags/roll_out__${encodeURIComponent(fleets[0])}/details`)).params ?? {};
  const send = () => {
    const members = only.value.split(/[\s,]+/).filter(Boolean);
    const conf = { image: shown.value };
    if (members.length > 0) conf.members = members;
    if (planned.checked) conf.plan_only = true;
    if ("why" in params && why.value) conf.why = why.value;
    return start(app, `roll_out__${fleet.value}`, conf);
  };
  ask(
    app,
    "Roll out an image",
    [
      field("Fleet", fleet),
      field("Image", shown),
      field("Only these members", only, "Names, with commas between them; empty: all."),
      "why" in params && field("Why", why, "For the history; no secrets."),
      field("Only plan", planned, "The run says what it would do, and changes nothing."),
    ],
    "Roll out",
    send,
  );
}

export function revoke(app, image) {
  const why = h("input", { name: "why", required: true, minlength: "3", maxlength: "500" });
  ask(
    app,
    "Revoke an image",
    [
      h("p", null, "No rollout takes ", h("strong", null, image), " any more, nor an image that is built on it. Members that run it are named and not changed."),
      field("Why", why, "For the ledger and the notifications; no secrets."),
    ],
    "Revoke",
    () => start(app, "revoke", { image, why: why.value }),
    true,
  );
}

export function freeze(app) {
  const why = h("input", { name: "why", required: true, maxlength: "500" });
  ask(
    app,
    "Freeze all fleets",
    [h("p", null, "No rollout and no promotion goes on until somebody ends the freeze. Ways back are not held."), field("Why", why)],
    "Freeze",
    async () => {
      const value = JSON.stringify({ who: app.summary.rights.user || "somebody", why: why.value });
      await app.airflow("POST", "variables", { key: FREEZE, value });
      return "All fleets are frozen.";
    },
    true,
  );
}

export function unfreeze(app) {
  ask(
    app,
    "End the freeze",
    [h("p", null, `Rollouts and promotions go on: ${app.summary.frozen}`)],
    "End the freeze",
    async () => {
      await app.airflow("DELETE", `variables/${FREEZE}`);
      return "The freeze is over.";
    },
  );
}
