// The lists: timeline, images, members, and one image.

import { badge, bytes, days, h, moment, number, outside, row, seconds, table } from "./dom.js";

const KINDS = {
  bake: "info", rebake: "info", "bake failed": "bad", promotion: "good", deploy: "good",
  "roll-back": "warn", metadata: "quiet", hold: "warn", release: "quiet", retired: "quiet",
  revoked: "bad", "SLA miss": "warn",
};
const STATES = {
  candidate: "info", failed: "bad", promoted: "good", history: "quiet", deprecated: "warn",
  obsolete: "quiet", revoked: "bad", deleted: "quiet",
};

export const state = (value) => badge(value === "failed" ? "failed candidate" : value, STATES[value] ?? "quiet");

export const commit = (sha, url) =>
  sha ? h("code", null, outside(url, sha.slice(0, 7))) : "–";

// Of a failed candidate the verdict is signed, and nothing else.
const signed = (one) => {
  const words = one.state === "failed" && one.signed === "verified" ? "verdict signed" : one.signed;
  return one.signed && badge(words, one.state === "failed" && one.signed === "verified" ? "quiet" : one.signed === "verified" ? "good" : "warn");
};

const image = (app, name) => (name ? app.link({ view: "image", image: name }, name) : "–");

const fix = (one) =>
  one ? [h("strong", null, days(one.days)), " ", `${one.package} ${one.available}`] : "–";

export function timeline(app, entries) {
  return table(
    "What happened, the newest first",
    ["When", "What", "Why", "Image", "Commit", "Run"],
    entries.map((one) =>
      row(
        moment(one.time),
        badge(one.what, KINDS[one.what] ?? "quiet"),
        h("span", { class: "bh-sentence" }, one.sentence),
        image(app, one.image),
        commit(one.git_sha, one.commit_url),
        app.runLink(one.dag_id, one.run_id, "Run"),
      ),
    ),
    "Nothing happened yet that these filters let through.",
  );
}

const figures = (one) =>
  h(
    "ul",
    { class: "bh-list" },
    h("li", null, `size ${bytes(one.size_bytes)}`),
    h("li", null, `bake ${seconds(one.bake_seconds)}`),
    h("li", null, `boot ${seconds(one.boot_seconds)}`),
    h("li", null, `${number(one.packages)} packages`),
    one.sla_misses > 0 && h("li", null, badge(`${one.sla_misses} SLA misses`, "warn")),
  );

export function images(app, rows) {
  return table(
    "Images, the newest first",
    ["Image", "State", "Why it was baked", "Commit", "Base", "Figures", "Runs on", "Missing fix", "Actions"],
    rows.map((one) =>
      row(
        [image(app, one.image), h("br"), h("span", { class: "bh-muted" }, moment(one.time))],
        [state(one.state), one.signed && [" ", signed(one)]],
        [badge(one.kind, KINDS[one.kind] ?? "quiet"), " ", h("span", { class: "bh-sentence" }, one.reason), one.state_reason && h("span", { class: "bh-muted bh-block" }, one.state_reason)],
        [commit(one.git_sha, one.commit_url), " ", one.subject],
        one.parent ? [one.base_image, ` (${one.parent})`] : one.base_image,
        figures(one),
        one.members ? app.link({ view: "members", search: one.image }, one.members === 1 ? "1 member" : `${one.members} members`) : "–",
        fix(one.fix),
        app.actions(one),
      ),
    ),
    "No image is there yet that these filters let through.",
  );
}

function held(hold) {
  return hold && h("span", { class: "bh-block" }, badge("held", "warn"), ` from ${hold.image} by ${hold.by} since `, moment(hold.since));
}

export function members(app, rows) {
  return table(
    "Who runs what",
    ["Member", "Image", "Commit", "Since", "Why", "Age", "State", "Missing fix", "Compare"],
    rows.map((one) =>
      row(
        h("span", { class: "bh-name" }, `${one.fleet}/${one.member}`),
        image(app, one.image),
        commit(one.git_sha),
        [!one.exact && "at the latest ", moment(one.since)],
        one.reason,
        days(one.image_days),
        [
          one.drift ? [badge("drift", "warn"), " ", one.drift] : badge("as wanted", "good"),
          one.waits && h("span", { class: "bh-block" }, badge("rollout", "info"), " ", one.waits),
          held(app.summary.holds.find((hold) => hold.fleet === one.fleet)),
        ],
        fix(one.fix),
        one.recipe && app.newest(one.recipe) && app.newest(one.recipe) !== one.image
          ? app.link({ view: "compare", old: `${one.fleet}/${one.member}`, new: app.newest(one.recipe) }, "with the newest")
          : "–",
      ),
    ),
    "No member is known yet: the nightly look at the fleets, and each rollout, say who runs what.",
  );
}

export function assetEvents(app, rows) {
  return table(
    "Promoted images by Airflow's asset events and XComs",
    ["When", "Recipe", "Image", "Commit", "Run", "Result"],
    rows.map((one) =>
      row(moment(one.time), one.recipe, one.image, commit(one.git_sha), one.dag_id ? app.runLink(one.dag_id, one.run_id, "Run") : "–", one.result || "–"),
    ),
    "Airflow knows of no promoted image.",
  );
}

const term = (name, value) => [h("dt", null, name), h("dd", null, value)];

export function oneImage(app, found) {
  const one = found.image;
  const chain = [...found.ancestry].map((name, index) => [index > 0 && " ← ", name === found.ancestry.at(-1) ? name : image(app, name)]);
  return h(
    "section",
    { "aria-label": one.image },
    h("h3", null, one.image, " ", state(one.state)),
    one.state_reason && h("p", null, one.state_reason),
    app.actions(one, true),
    h(
      "dl",
      { class: "bh-facts" },
      term("Why", one.reason),
      term("Commit", [commit(one.git_sha, one.commit_url), " ", one.subject, ` (${one.author})`]),
      term("Baked", moment(one.time)),
      term("Base", chain.length > 0 ? chain : one.base_image),
      term("Built on it", found.built_on_it.length > 0 ? found.built_on_it.map((name) => [image(app, name), " "]) : "nothing"),
      term("Bake", seconds(one.bake_seconds)),
      term("Boot", seconds(one.boot_seconds)),
      term("Size", [one.size_bytes === null ? "unknown" : `${bytes(one.size_bytes)} stored`, one.disk_gb && `, a disk of ${one.disk_gb} GB`]),
      term("Packages", number(one.packages)),
      term("SLA misses", number(one.sla_misses)),
      term("Family", one.family ?? "none"),
      term("Missing fix", fix(one.fix)),
      one.signed && term(one.state === "failed" ? "Smoke test's verdict" : "Provenance", signed(one)),
    ),
    timeline(app, found.story),
    members(app, found.members),
  );
}
