// Typed text: the subject runs, and every token shows which explained units it activates.
"use strict";
{
  const { el, fill, foreign, visible, score, ints, floats, store, plural, say } = neurogloss;
  const FAINT = 0.5; // levels below are listed only as the strongest of their layer
  const shownLevel = (level) => Math.min(10, level).toFixed(1); // the order goes by what exceeds the peak, too
  const STRONGEST = 4;
  const EXAMPLE = "In the winter of 1812 the emperor's army crossed the frozen river, and fewer than 40,000 soldiers came home.";
  let last = { text: EXAMPLE, found: null, at: -1 };

  async function ask(text) {
    let answer;
    try {
      answer = await fetch("api/text", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ text }) });
    } catch {
      throw new Error("the server does not answer; is it still running?");
    }
    const body = await answer.json().catch(() => ({ error: `the server answered ${answer.status}` }));
    if (!answer.ok || body.error) throw new Error(body.error);
    return { ...body, layers: body.layers.map((one) => ({ layer: one.layer, pages: ints(one.pages), levels: floats(one.levels) })) };
  }

  // A column under each token: one cell per layer, the last layer on top, as a striped background.
  function stripes(found, at) {
    const layers = [...found.layers].reverse(), size = 100 / layers.length;
    const stops = layers.map((one, i) => {
      const level = Math.min(1, one.levels[at * found.kept] / 10);
      return `color-mix(in srgb, var(--real-strong) ${(level * 100).toFixed(0)}%, transparent) ${(i * size).toFixed(2)}% ${((i + 1) * size).toFixed(2)}%`;
    });
    return `linear-gradient(${stops.join(", ")})`;
  }

  function ranked(found, at) {
    return found.layers
      .map((one) => ({ layer: one.layer, neurons: Array.from({ length: found.kept }, (_, k) => [one.pages[at * found.kept + k], one.levels[at * found.kept + k]]).filter(([page]) => page >= 0) }))
      .map((one) => ({ ...one, neurons: one.neurons.filter(([, level], k) => level >= (k ? FAINT : FAINT / 10)) }))
      .filter((one) => one.neurons.length);
  }

  function details(panel, found, at, rows) {
    const { texts, top_and_random: scores } = rows.variants[0];
    const layers = ranked(found, at);
    const item = ([page, level]) => el("li", { "--v": Math.min(1, level / 10).toFixed(3) }, el("a", { href: store.href(page), class: "id" }, store.name(page)), el("span", { class: "value" }, `${shownLevel(level)} · ${score(scores[page])}`), foreign(texts[page] ?? "", { class: "text" }));
    const section = (title, neurons) => el("section", { class: "layer" }, el("h3", {}, title), el("ul", { class: "near" }, neurons.map(item)));
    const strongest = layers.flatMap((one) => one.neurons).sort((a, b) => b[1] - a[1]).slice(0, STRONGEST);
    fill(
      panel,
      el("h2", {}, `${store.capital(store.about.unit.many)} on `, foreign(found.tokens[at].replace(/ /g, "␣") || "∅", { class: "token-name" })),
      el("p", { class: "note" }, `Explained ${store.about.unit.many} by how near they come to their own peak (level 10, also where they exceed it). Figures: level, score of the explanation.`),
      strongest.length ? section("Strongest of all layers", strongest) : null,
      layers.length
        ? el("div", { class: "by-layer" }, layers.map((one) => section(`Layer ${one.layer}`, one.neurons)))
        : el("p", { class: "empty" }, `No explained ${store.about.unit.one} is above zero here.`),
    );
    return strongest.length ? `${store.name(strongest[0][0])}, level ${shownLevel(strongest[0][1])}, ${texts[strongest[0][0]] ?? ""}` : `no ${store.about.unit.one}`;
  }

  function shown(place, found, rows) {
    const panel = el("section", { class: "card" });
    const buttons = found.tokens.map((token, at) => {
      const column = el("span", { class: "stripes", "aria-hidden": "true" });
      column.style.background = stripes(found, at);
      return el("button", { type: "button", class: "token", "data-i": at, onclick: () => choose(at) }, el("bdi", {}, visible(token).trim() || "␣"), column);
    });
    function choose(at) {
      last.at = at;
      buttons.forEach((button, i) => button.setAttribute("aria-pressed", i === at));
      say(`${visible(found.tokens[at])}: ${details(panel, found, at, rows)}`);
    }
    fill(place, el("section", { class: "card" }, el("p", { class: "note" }, `Under each token a cell per layer, the last layer on top; the fuller the colour, the nearer a ${store.about.unit.one} is to its peak. ${plural(found.tokens.length, "token")}.`), el("div", { class: "token-row" }, buttons)), panel);
    const strength = found.tokens.map((_, at) => Math.max(...found.layers.map((one) => one.levels[at * found.kept])));
    choose(last.at >= 0 && last.at < found.tokens.length ? last.at : strength.indexOf(Math.max(...strength)));
  }

  async function text(main) {
    if (store.about.mode !== "view") {
      fill(main, el("h1", {}, "Text"), el("p", { class: "notice" }, "To run the model on a text of yours, this page needs a server: run ", el("code", {}, "neurogloss view"), " in the folder of the result."));
      return "Text";
    }
    const rows = await store.rows();
    const area = el("textarea", { id: "typed", rows: "3", maxlength: "200000", spellcheck: "false" });
    area.value = last.text;
    const place = el("div", { class: "typed" });
    const button = el("button", { type: "button", onclick: () => run() }, "Run");
    async function run() {
      button.disabled = true;
      fill(place, el("p", { class: "empty", role: "status" }, "The model reads; the first time it has to be loaded …"));
      try {
        const found = await ask(area.value);
        last = { text: area.value, found, at: -1 };
        shown(place, found, rows);
      } catch (error) {
        fill(place, el("p", { class: "notice", role: "alert" }, foreign(error.message)));
      }
      button.disabled = false;
    }
    area.addEventListener("keydown", (event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && run());
    fill(main, el("h1", {}, `Which ${store.about.unit.many} does a text activate?`), el("div", { class: "ask" }, el("label", { for: "typed" }, "Text"), area, el("div", {}, button, el("span", { class: "note" }, "Ctrl-Enter runs it. The text goes to the model on this machine and nowhere else."))), place);
    if (last.found) shown(place, last.found, rows);
    return "Text";
  }

  neurogloss.text = text;
}
