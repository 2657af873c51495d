// The plots: inline SVG, each with a sentence for who does not see it.

import { bytes, days, h, number, seconds, svg } from "./dom.js";

const WIDTH = 560;
const HEIGHT = 190;
const LEFT = 64;
const RIGHT = 12;
const TOP = 14;
const BOTTOM = 26;
const MOST_BARS = 40;

function steps(most) {
  const rough = most / 4;
  const power = 10 ** Math.floor(Math.log10(rough || 1));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough) ?? power;
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, index) => index * step);
}

// points: [{time, value, image}], oldest first; limit: a line that none should cross.
export function plot(title, points, format, limit) {
  const known = points.filter((one) => one.value !== null && one.value !== undefined);
  if (known.length === 0) {
    return h("figure", { class: "bh-plot" }, h("figcaption", null, title), h("p", { class: "bh-empty" }, "No image has this figure yet."));
  }
  const times = known.map((one) => Date.parse(one.time));
  const [from, until] = [Math.min(...times), Math.max(...times)];
  const most = Math.max(...known.map((one) => one.value), limit ?? 0, 1) * 1.08;
  const x = (time) =>
    LEFT + (until === from ? 0.5 : (time - from) / (until - from)) * (WIDTH - LEFT - RIGHT);
  const y = (value) => HEIGHT - BOTTOM - (value / most) * (HEIGHT - TOP - BOTTOM);
  const places = known.map((one, index) => [x(times[index]), y(one.value)]);
  const last = known[known.length - 1];
  const beyond = limit ? `, the limit is ${format(limit)}` : "";
  const told = `${title}: ${known.length} images, the newest ${format(last.value)}${beyond}`;
  const day = (time) => new Date(time).toISOString().slice(0, 10);
  return h(
    "figure",
    { class: "bh-plot" },
    h("figcaption", null, title),
    svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": told },
      steps(most).map((value) => [
        svg("line", { class: "bh-grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }),
        svg("text", { class: "bh-tick", x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, format(value)),
      ]),
      svg("text", { class: "bh-tick", x: LEFT, y: HEIGHT - 6 }, day(from)),
      until > from &&
        svg("text", { class: "bh-tick", x: WIDTH - RIGHT, y: HEIGHT - 6, "text-anchor": "end" }, day(until)),
      limit && [
        svg("line", { class: "bh-limit", x1: LEFT, x2: WIDTH - RIGHT, y1: y(limit), y2: y(limit) }),
        svg("text", { class: "bh-limit-text", x: WIDTH - RIGHT, y: y(limit) - 4, "text-anchor": "end" }, `limit ${format(limit)}`),
      ],
      svg("polyline", { class: "bh-line", points: places.map((place) => place.join(",")).join(" ") }),
      known.length <= 120 &&
        places.map((place, index) =>
          svg(
            "circle",
            { class: "bh-point", cx: place[0], cy: place[1], r: 3 },
            svg("title", null, `${known[index].image}: ${format(known[index].value)}`),
          ),
        ),
    ),
  );
}

// The age of each member's image, the oldest first.
export function ages(members) {
  const known = members
    .filter((one) => one.image_days !== null)
    .sort((one, other) => other.image_days - one.image_days);
  const title = "Age of each member's image";
  if (known.length === 0) {
    return h("figure", { class: "bh-plot" }, h("figcaption", null, title), h("p", { class: "bh-empty" }, "No member is known yet."));
  }
  const shown = known.slice(0, MOST_BARS);
  const most = Math.max(shown[0].image_days, 0.1);
  const step = 20;
  const name = 150;
  const height = shown.length * step + 8;
  const more = known.length - shown.length;
  const told = `${title}: ${known.length} members, the oldest is ${days(shown[0].image_days)} (${shown[0].member})`;
  return h(
    "figure",
    { class: "bh-plot" },
    h("figcaption", null, title, more > 0 ? ` (the oldest ${MOST_BARS} of ${known.length})` : ""),
    svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": told },
      shown.map((one, index) => {
        const top = index * step + 4;
        const width = Math.max((one.image_days / most) * (WIDTH - name - 110), 2);
        return [
          svg("text", { class: "bh-tick", x: name - 8, y: top + 12, "text-anchor": "end" }, `${one.fleet}/${one.member}`.slice(-24)),
          svg("rect", { class: one.newest ? "bh-bar" : "bh-bar bh-bar-behind", x: name, y: top, width, height: step - 6 }),
          svg("text", { class: "bh-tick", x: name + width + 6, y: top + 12 }, `${days(one.image_days)}${one.newest ? "" : ", behind"}`),
        ];
      }),
    ),
  );
}

export function plots(series, members) {
  const of = (name) => series.points.map((one) => ({ ...one, value: one[name] }));
  return h(
    "div",
    { class: "bh-plots" },
    plot("Boot time", of("boot_seconds"), seconds, series.boot_limit_seconds),
    plot("Bake duration", of("bake_seconds"), seconds),
    plot("Image size, as stored", of("size_bytes"), bytes),
    plot("Packages", of("packages"), number),
    ages(members),
  );
}
