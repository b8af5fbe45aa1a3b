/* A small line that grows to the right: the last minutes of one figure. */

import { h } from "./dom.js";

const POINTS = 120;
const WIDTH = 240;
const HEIGHT = 48;
const SVG = "http://www.w3.org/2000/svg";

export class Chart {
  /* `least`: the top of the chart is never below this.  `say(value)`: the value in words. */
  constructor(name, least, say) {
    Object.assign(this, { name, least, say });
    this.values = [];
    this.line = document.createElementNS(SVG, "polyline");
    this.area = document.createElementNS(SVG, "polygon");
    this.svg = document.createElementNS(SVG, "svg");
    for (const [key, value] of Object.entries({ viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" })) {
      this.svg.setAttribute(key, value);
    }
    this.svg.append(this.area, this.line);
    this.now = h("span", { class: "chart-now", text: "–" });
    this.top = h("span", { class: "chart-top" });
    this.node = h("figure", { class: "chart" }, h("figcaption", {}, h("span", { text: name }), this.now), this.svg, this.top);
  }

  /* `null`: there is nothing to measure. */
  add(value) {
    this.values.push(value ?? 0);
    if (this.values.length > POINTS) this.values.shift();
    const most = Math.max(this.least, ...this.values);
    const points = this.values.map((each, i) => {
      const x = WIDTH - (this.values.length - 1 - i) * (WIDTH / (POINTS - 1));
      return `${x.toFixed(1)},${(HEIGHT - 2 - (each / most) * (HEIGHT - 4)).toFixed(1)}`;
    });
    this.line.setAttribute("points", points.join(" "));
    const left = WIDTH - (this.values.length - 1) * (WIDTH / (POINTS - 1));
    this.area.setAttribute("points", `${left.toFixed(1)},${HEIGHT} ${points.join(" ")} ${WIDTH},${HEIGHT}`);
    this.now.textContent = value === null ? "–" : this.say(value);
    this.top.textContent = this.values.some(Boolean) ? this.say(most) : "";
  }
}
