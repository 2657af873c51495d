// The view of two images: packages, values, vars, and the scripts' diff.

import { badge, h, row, table } from "./dom.js";

function packageRows(found) {
  const { packages, security } = found;
  const safe = new Set(security);
  const change = (kind, shown) => (one) =>
    row(
      one.name,
      [badge(kind, shown), kind === "upgraded" && safe.has(one.name) ? [" ", badge("security", "security")] : null],
      one.old ?? (kind === "removed" ? one.version : "–"),
      one.new ?? (kind === "added" ? one.version : "–"),
      one.arch,
    );
  const upgraded = [...packages.upgraded].sort((one, other) => safe.has(other.name) - safe.has(one.name));
  return [
    ...upgraded.map(change("upgraded", "good")),
    ...packages.downgraded.map(change("downgraded", "bad")),
    ...packages.added.map(change("added", "info")),
    ...packages.removed.map(change("removed", "quiet")),
  ];
}

const values = (caption, changes, empty) =>
  table(
    caption,
    ["What", "Before", "After"],
    changes.map((one) => row(one.name, one.old ?? "–", one.new ?? "–")),
    empty,
  );

function kind(line) {
  if (/^(\+\+\+|---|Binary) /.test(line)) return "bh-file";
  if (line.startsWith("@@")) return "bh-hunk";
  if (line.startsWith("+")) return "bh-plus";
  return line.startsWith("-") ? "bh-minus" : "";
}

function scripts(found) {
  const told = found.scripts;
  if (!told) return null;
  if (told.problem) return h("p", { class: "bh-notice" }, `Scripts are not compared: ${told.problem}.`);
  if (!told.text) return h("p", { class: "bh-empty" }, "The recipe's folder is the same in both commits.");
  const title = `Scripts: ${told.old_sha.slice(0, 7)} to ${told.new_sha.slice(0, 7)}`;
  return [
    h("h3", null, title),
    h(
      "pre",
      { class: "bh-diff", tabindex: "0", role: "region", "aria-label": title },
      told.text.split("\n").map((line) => h("span", { class: kind(line) }, line, "\n")),
    ),
  ];
}

export function difference(found) {
  const parts = found.packages ? packageRows(found) : [];
  return h(
    "section",
    { "aria-label": "Difference", class: "bh-difference" },
    h("p", { class: "bh-between" }, "From ", h("strong", null, found.old), " to ", h("strong", null, found.new)),
    values("Image", found.values, "Commit, base and size are the same."),
    found.packages_problem
      ? h("p", { class: "bh-notice" }, `Packages are not compared: ${found.packages_problem}.`)
      : table(
          `Packages: ${parts.length} differ, ${found.security.length} of them by a security update`,
          ["Package", "Change", "Before", "After", "Architecture"],
          parts,
          "Both images have the same packages.",
        ),
    values("Vars of the recipe", found.vars, "The vars of the recipe are the same."),
    scripts(found),
  );
}
