// Excerpts coloured by recorded and by simulated activation.
"use strict";
{
  const { el, visible, foreign, amount, score, store, say } = neurogloss;
  const MODES = [["stack", "Real above simulated"], ["overlay", "Overlay"], ["difference", "Difference"]];
  const NAMES = { explain: "seen by the explainer", calibrate: "calibration", select: "selection", score: "held out", fit: "may be fitted on" };

  function correlation(a, b) {
    const n = a.length;
    let ma = 0, mb = 0;
    for (let i = 0; i < n; i++) (ma += a[i] / n), (mb += b[i] / n);
    let ab = 0, aa = 0, bb = 0;
    for (let i = 0; i < n; i++) (ab += (a[i] - ma) * (b[i] - mb)), (aa += (a[i] - ma) ** 2), (bb += (b[i] - mb) ** 2);
    return aa > 1e-12 && bb > 1e-12 ? ab / Math.sqrt(aa * bb) : null;
  }

  const clamp = (value) => Math.min(1, Math.max(0, value));
  // Spans of one line; `paint` gives the style of a token.
  function line(tokens, paint, attends) {
    return tokens.map((text, i) => {
      const span = el("bdi", { class: "t", "data-i": i }, visible(text) || "∅");
      paint(span, i);
      if (attends?.query === i) span.classList.add("query");
      const key = attends?.keys.find((one) => one.place === i);
      if (key) (span.classList.add("key"), span.style.setProperty("--share", key.share.toFixed(2)));
      return span;
    });
  }

  // What a head's strongest token reads, in words: what the marks show is also said.
  function reading({ tokens, attends }) {
    const named = (i) => `“${visible(tokens[i]).trim() || "␣"}”`;
    const share = (key) => (key.share > 0.99 ? "" : ` (${key.share.toFixed(2)} of the first)`);
    return `${named(attends.query)} reads ${attends.keys.map((key) => `${key.place === attends.query ? "itself" : named(key.place)}${share(key)}`).join(", ")}`;
  }

  // One excerpt. real: recorded as share of the peak; shades: per variant levels as share of its strongest, or null.
  function painted(mode, excerpt, names) {
    const { tokens, real, shades, attends } = excerpt;
    const known = shades.map((levels, v) => [levels, v]).filter(([levels]) => levels);
    if (mode === "stack" || !known.length) {
      const rows = [["real", "real", (span, i) => span.style.setProperty("--v", clamp(real[i]).toFixed(3))]];
      for (const [levels, v] of known) rows.push([`simulated v${v}`, names.length > 1 ? `simulated ${store.letter(v)}` : "simulated", (span, i) => span.style.setProperty("--v", clamp(levels[i]).toFixed(3))]);
      return rows.map(([kind, label, paint]) => el("div", { class: `line ${kind}` }, known.length ? el("span", { class: "which" }, label) : null, el("p", { class: "tokens" }, line(tokens, paint, kind === "real" ? attends : null))));
    }
    return known.map(([levels, v]) => {
      const paint = mode === "overlay"
        ? (span, i) => (span.style.setProperty("--r", clamp(real[i]).toFixed(3)), span.style.setProperty("--s", clamp(levels[i]).toFixed(3)))
        : (span, i) => {
            const gap = clamp(levels[i]) - clamp(real[i]);
            span.style.setProperty("--v", Math.abs(gap).toFixed(3));
            span.classList.add(gap > 0 ? "over" : "under");
          };
      return el("div", { class: `line ${mode}` }, names.length > 1 && known.length > 1 ? el("span", { class: "which" }, `${store.letter(v)}`) : null, el("p", { class: "tokens" }, line(tokens, paint, attends)));
    });
  }

  function tooltip(excerpt, i, names) {
    const rows = [`“${visible(excerpt.tokens[i])}”`, `real ${amount(excerpt.activation[i])} (level ${(10 * clamp(excerpt.real[i])).toFixed(1)})`];
    if (excerpt.attends?.query === i) rows.push("query: the strongest token");
    const key = excerpt.attends?.keys.find((one) => one.place === i);
    if (key) rows.push(`key ${excerpt.attends.keys.indexOf(key) + 1}: read with ${key.share.toFixed(2)} of the first key's write`);
    excerpt.simulations.forEach((levels, v) => rows.push(`simulated${names.length > 1 ? ` ${store.letter(v)}` : ""} ${levels ? `level ${(10 * levels[i]).toFixed(1)}` : "–"}`));
    return rows;
  }

  // Values under the pointer, and for keys: left and right go from token to token while the excerpt has the focus.
  function explore(card, excerpt, names) {
    let at = -1;
    const mark = (i) => card.querySelectorAll(".t.at").forEach((old) => old.classList.remove("at")) || card.querySelectorAll(`.t[data-i="${i}"]`).forEach((span) => span.classList.add("at"));
    const show = (span) => {
      const box = span.getBoundingClientRect();
      neurogloss.showTip(box.left + box.width / 2, box.bottom, tooltip(excerpt, at, names), true);
    };
    const find = (event) => event.target.closest?.(".t");
    const leave = () => ((at = -1), mark(-1), neurogloss.hideTip());
    card.addEventListener("pointerover", (event) => {
      const span = find(event);
      if (!span) return leave();
      mark((at = Number(span.dataset.i)));
      show(span);
    });
    card.addEventListener("pointerleave", leave);
    card.addEventListener("blur", leave);
    card.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step || event.shiftKey || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      event.stopPropagation();
      at = Math.min(excerpt.tokens.length - 1, Math.max(0, at + step));
      mark(at);
      show(card.querySelector(`.t[data-i="${at}"]`));
      say(tooltip(excerpt, at, names).join(", "));
    });
  }

  function card(excerpt, number, names) {
    const within = excerpt.simulations
      .map((levels, v) => [levels && correlation(excerpt.activation, levels), v])
      .filter(([r]) => r !== null)
      .map(([r, v]) => `${names.length > 1 ? `${store.letter(v)} ` : ""}${score(r)}`)
      .join(", ");
    const strongest = [...excerpt.real.keys()].sort((a, b) => excerpt.real[b] - excerpt.real[a]).slice(0, 3).filter((i) => excerpt.real[i] > 0);
    const label = `Excerpt ${number}, ${excerpt.kind}. ${strongest.length ? `Strongest on ${strongest.map((i) => visible(excerpt.tokens[i]).trim()).join(", ")}.` : "Never above zero."}${excerpt.attends ? ` ${reading(excerpt)}.` : ""} Left and right arrow keys read the values.`;
    const lines = el("div", { class: "lines" });
    const box = el(
      "article",
      { class: "excerpt", tabindex: "0", "aria-label": label },
      el("header", {}, el("span", { class: `badge ${excerpt.kind}` }, excerpt.kind), el("span", { class: "badge quiet" }, NAMES[excerpt.split] ?? excerpt.split), excerpt.senses.map((sense, v) => (sense === null ? null : el("span", { class: "badge sense", title: "the sense that predicts most of the strongest token" }, `${names.length > 1 ? `${store.letter(v)}: ` : ""}sense ${sense + 1}`))), el("span", { class: "source" }, "from ", foreign(excerpt.document || "a document")), within ? el("span", { class: "r", title: "correlation within this excerpt" }, `r ${within}`) : null),
      ...excerpt.faults.map((fault) => el("p", { class: "fault" }, `Simulation failed: ${fault.replaceAll("_", " ")}.`)),
      lines,
      excerpt.attends ? el("p", { class: "reading" }, el("bdi", {}, reading(excerpt))) : null,
    );
    explore(box, excerpt, names);
    return { box, draw: (mode) => lines.replaceChildren(...painted(mode, excerpt, names)) };
  }

  const GROUPS = [
    ["score", "Score excerpts", () => "Held out: neither the explainer nor the choice among explanations saw them. The score is the correlation over all their tokens."],
    ["top", "Strongest excerpts", (one) => `Where the ${one} fires most.`],
    ["random", "Random excerpts", (one) => `What the ${one} does on ordinary text.`],
  ];

  // All excerpts of a unit with the choice of colouring; `mode` is kept between units.
  let mode = "stack";
  function heatmap(every, names) {
    const cards = [];
    // A score is a correlation, so each side is coloured on its own scale; below level 1 little is not made to look like much.
    const tops = names.map((_, v) => Math.max(0.1, ...every.flatMap((excerpt) => [...(excerpt.simulations[v] ?? [])])));
    const excerpts = every.map((excerpt) => ({ ...excerpt, shades: excerpt.simulations.map((levels, v) => levels && levels.map((value) => value / tops[v])) }));
    const levels = tops.map((top, v) => `${(10 * top).toFixed(1)}${names.length > 1 ? ` (${store.letter(v)})` : ""}`).join(", ");
    const scale = `full colour: real at its peak${every.some((excerpt) => excerpt.simulations.some(Boolean)) ? `, simulated at level ${levels}` : ""}`;
    const sections = GROUPS.map(([group, title, note]) => {
      const members = excerpts.filter((excerpt) => excerpt.group === group);
      if (!members.length) return null;
      const made = members.map((excerpt, i) => card(excerpt, i + 1, names));
      cards.push(...made);
      return el("section", { class: "group" }, el("h3", {}, title), el("p", { class: "note" }, note(store.about.unit.one)), made.map((one) => one.box));
    });
    const caption = el("p", { class: "key-line" });
    function draw() {
      for (const one of cards) one.draw(mode);
      for (const button of buttons) button.setAttribute("aria-pressed", button.dataset.mode === mode);
      caption.replaceChildren(
        ...(mode === "difference"
          ? [el("span", { class: "swatch under" }), "real is higher ", el("span", { class: "swatch over" }), "simulated is higher"]
          : [el("span", { class: "swatch real" }), mode === "overlay" ? "upper half: real " : "real ", el("span", { class: "swatch simulated" }), mode === "overlay" ? "lower half: simulated" : "simulated"]),
        el("br"),
        ...(excerpts.some((excerpt) => excerpt.attends) ? [el("span", { class: "mark-of query" }, "query"), " strongest token ", el("span", { class: "mark-of key" }, "key"), " tokens it reads, the thicker the more", el("br")] : []),
        scale,
      );
    }
    // Buttons, not radios: arrow keys go on walking from unit to unit.
    const buttons = MODES.map(([value, label]) => el("button", { type: "button", "data-mode": value, onclick: () => ((mode = value), draw()) }, label));
    const choice = el("div", { class: "choice", role: "group", "aria-label": "Colour by" }, buttons);
    draw();
    return el("div", { class: "heat" }, el("h2", {}, "Excerpts"), el("div", { class: "toolbar" }, choice, caption), sections);
  }

  neurogloss.heatmap = heatmap;
}
