// Two results over one another: the verdict with its interval, the distributions, the layers, the units that changed most.
"use strict";
{
  const { el, foreign, count, score, store, charts, missing, plural } = neurogloss;

  const signed = (value, digits = 3) => (missing(value) ? "–" : `${value > 0 ? "+" : ""}${score(value, digits)}`);
  function verdict(found) {
    if (!found.units) return "shares no scored unit with";
    if (found.won + found.lost === 0) return "is the same as";
    if (found.noise === null) return "differs on too few units to be told from";
    return found.noise ? "is within noise of" : found.difference > 0 ? "is better than" : "is worse than";
  }

  function changed(title, pages, rows, variant) {
    const { top_and_random: before, texts } = rows.variants[0], after = rows.variants[variant];
    const row = (page) =>
      el("li", {}, el("a", { href: store.href(page), class: "id" }, store.name(page)), el("span", { class: "both" }, foreign(texts[page] ?? "no explanation", { class: "text was" }), foreign(after.texts[page] ?? "no explanation", { class: "text" })), el("span", { class: "value" }, `${score(before[page])} → ${score(after.top_and_random[page])}`));
    return el("section", { class: "card" }, el("h2", {}, title), pages.length ? el("ol", { class: "neurons changed" }, pages.map(row)) : el("p", { class: "empty" }, "None."));
  }

  // What the overview says of variant v (from 1) against the first.
  function differences(rows, v, choose) {
    const { about } = store, found = about.differences[v - 1], [a, b] = [about.variants[0], about.variants[v]];
    const [first, second] = [0, v].map((place) => foreign(`${store.letter(place)} · ${about.variants[place].name}`));
    const interval = missing(found.low) ? "" : `${(100 * found.level).toPrecision(3).replace(/\.?0+$/, "")} % interval ${signed(found.low)} to ${signed(found.high)}`;
    const rest = found.units - found.won - found.lost;
    return [
      el(
        "section",
        { class: "card against" },
        el("h2", {}, second, ` ${verdict(found)} `, first),
        el("p", { class: "big" }, el("strong", {}, signed(found.difference)), el("span", {}, `mean score ${score(found.reference, 3)} → ${score(found.variant, 3)}${interval ? `, ${interval}` : ""}`)),
        charts.difference(found),
        el("p", { class: "note" }, `Higher on ${count(found.won)}, lower on ${count(found.lost)}, the same on ${count(rest)} of ${plural(found.units, "unit")} that both score, on the same excerpts.`),
      ),
      el("div", { class: "pair" }, el("section", { class: "card" }, charts.overlay(a, b, [0, v], about.edges)), el("section", { class: "card" }, charts.byLayer(found.layers, choose))),
      el("div", { class: "pair" }, changed("Gained most", found.gained_pages, rows, v), changed("Lost most", found.lost_pages, rows, v)),
    ];
  }

  neurogloss.differences = differences;
}
