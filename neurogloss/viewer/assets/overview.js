// The overview: the whole in numbers, the neurons worth a look, and all of them in a table.
"use strict";
{
  const { el, fill, foreign, count, score, share, plural, store, charts, table, missing } = neurogloss;

  const tile = (label, value, detail, help) =>
    el("div", { class: "tile", title: help }, el("dt", {}, label), el("dd", {}, el("strong", {}, value), detail && el("small", {}, detail)));
  const between = (mean) => (mean.low === null ? null : `95 % interval ${score(mean.low, 3)} to ${score(mean.high, 3)}`);

  function tiles(variant) {
    const { means, statuses } = variant;
    const failed = statuses.map((number, code) => [number, store.about.statuses[code][0]]).filter(([number, name]) => number && name !== "ok");
    return el(
      "dl",
      { class: "tiles" },
      tile("Mean score", score(means.top_and_random.mean, 3), between(means.top_and_random), "Correlation of simulated with recorded activations on top and random excerpts that the explainer never saw"),
      tile("Random only", score(means.random_only.mean, 3), between(means.random_only), "The same on random excerpts alone"),
      tile("Token table", score(means.token_table.mean, 3), "baseline without any explanation", "Mean activation per token, looked up"),
      tile("Control", score(means.control.mean, 3), "other units' explanations", `Explanations of other ${store.about.unit.many} of the layer, simulated on the same excerpts`),
      tile("Score less control", score(means.margin.mean, 3), between(means.margin), `What the ${store.about.unit.one}'s own explanation adds`),
      means.sensitivity.mean === null ? null : tile("Sensitivity", score(means.sensitivity.mean, 3), "1: explanations are not read", "Mean correlation of what is simulated for different explanations on the same excerpts"),
      ...variant.shares.map(([bar, part]) => tile(`At or above ${bar}`, share(part), null, `Share of the scored ${store.about.unit.many} with a score of at least ${bar}`)),
      tile("Scored", `${count(variant.scored)}`, `of ${plural(variant.neurons, store.about.unit.one)}${failed.length ? `; ${failed.map(([number, name]) => `${count(number)} ${name.replaceAll("_", " ")}`).join(", ")}` : ""}`),
    );
  }

  // A list of neurons with explanation and score.
  function list(title, note, pages, rows, value, more) {
    const { texts } = rows.variants[0];
    return el(
      "section",
      { class: "card" },
      el("h2", {}, title),
      el("p", { class: "note" }, note),
      pages.length
        ? el("ol", { class: "neurons" }, pages.map((page) => el("li", {}, el("a", { href: store.href(page), class: "id" }, store.name(page)), texts[page] === null ? el("em", {}, "no explanation") : foreign(texts[page], { class: "text" }), el("span", { class: "value" }, value(page)))))
        : el("p", { class: "empty" }, "None."),
      pages.length ? el("button", { type: "button", class: "quiet more", onclick: more }, "More in the table") : null,
    );
  }

  function lists(rows, show) {
    const { about } = store;
    const { top_and_random: scores, random_only, control } = rows.variants[0];
    const [, reached] = about.variants[0].shares[0];
    const good = Math.round((reached ?? 0) * about.variants[0].scored);
    const note = good >= about.best.length && good ? `${count(good)} are at or above ${about.good}.` : good ? `${good === 1 ? "One is" : `${good} are`} at or above ${about.good}; the others come closest.` : `None reaches ${about.good}; these come closest.`;
    const beside = " Behind each score those on random excerpts alone and of the control.";
    return el(
      "div",
      { class: "pair" },
      list("Best explained", note + beside, about.best, rows, (page) => el("span", { title: "score; on random excerpts alone; control" }, score(scores[page]), el("small", {}, ` ${score(random_only[page])} · ${score(control[page])}`)), () => show({ sort: "-score0" })),
      list("Strong but unexplained", `Peaks in the upper quarter, score below ${about.unexplained}: what are these for?`, about.strong, rows, (page) => `${missing(scores[page]) ? "no score" : score(scores[page])} · ${rows.peaks[page].toFixed(0)} sd`, () => show({ max: String(about.unexplained), sort: "-peak" })),
    );
  }

  // Columns of a result that is alone.
  function alone(rows) {
    const [{ random_only, control, token_table }] = rows.variants;
    return [
      { key: "random", title: "Random only", hint: "Score on random excerpts alone", class: "c-more", sortable: true, values: random_only, cell: (page) => score(random_only[page]) },
      { key: "control", title: "Control", hint: "Other units' explanations on the same excerpts", class: "c-more", sortable: true, values: control, cell: (page) => score(control[page]) },
      { key: "table", title: "Token table", hint: "Baseline without an explanation", class: "c-more", sortable: true, values: token_table, cell: (page) => score(token_table[page]) },
      { key: "firing", title: "Level ≥ 1", hint: "Share of tokens at level 1 or above, in random excerpts outside of the score split", class: "c-more", sortable: true, values: rows.firing, cell: (page) => share(rows.firing[page]) },
      { key: "peak", title: "Peak", hint: "Strongest activation, in standard deviations above the mean", class: "c-more", sortable: true, values: rows.peaks, cell: (page) => (missing(rows.peaks[page]) ? "–" : `${rows.peaks[page].toFixed(1)} sd`) },
    ];
  }

  // How far another result is above the first.
  function gap(rows, v) {
    const values = rows.variants[v].top_and_random.map((value, page) => value - rows.variants[0].top_and_random[page]);
    const title = `${store.letter(v)} less ${store.letter(0)}`;
    return { key: `gap${v}`, title, hint: "Difference of the scores", class: "c-more", sortable: true, values, cell: (page) => (missing(values[page]) ? "–" : `${values[page] > 0 ? "+" : ""}${score(values[page])}`) };
  }

  // The table's columns; sorting reads `values`.
  function columns(rows) {
    const shown = rows.variants;
    const meter = (value) => [el("span", { class: "meter", "aria-hidden": "true", "--v": Math.max(0, value || 0).toFixed(3) }), score(value)];
    const judged = (variant) => (page) => {
      if (!missing(variant.top_and_random[page])) return meter(variant.top_and_random[page]);
      return el("span", { class: "fault" }, store.about.statuses[variant.statuses[page] + 1][0].replaceAll("_", " "));
    };
    const numbers = shown.map((_, v) => (shown.length > 1 ? ` ${store.letter(v)}` : ""));
    return [
      { key: "neuron", title: store.capital(store.about.unit.one), class: "c-id", sortable: true, cell: (page) => el("a", { href: store.href(page) }, store.name(page)) },
      ...shown.map((variant, v) => ({ key: `text${v}`, title: `Explanation${numbers[v]}`, class: "c-text", cell: (page) => (variant.texts[page] === null ? el("em", {}, "none") : foreign(variant.texts[page], { title: neurogloss.visible(variant.texts[page]) })) })),
      ...shown.map((variant, v) => ({ key: `score${v}`, title: `Score${numbers[v]}`, hint: "Top and random excerpts", class: "c-score", sortable: true, values: variant.top_and_random, cell: judged(variant) })),
      ...(shown.length > 1 ? shown.slice(1).map((_, v) => gap(rows, v + 1)) : alone(rows)),
    ];
  }

  // Rows that pass the filters, in the order of the table.
  function matching(rows, state) {
    const { layers, lowered } = rows, variant = rows.variants[0];
    const words = state.by === "meaning" ? [] : state.q.toLowerCase().split(/\s+/).filter(Boolean);
    const exact = words.length && store.parse(state.q);
    const layer = state.layer === "" ? null : Number(state.layer), status = state.status === "" ? null : Number(state.status);
    const low = state.min === "" ? null : Number(state.min), high = state.max === "" ? null : Number(state.max);
    const found = [];
    for (let page = 0; page < rows.length; page++) {
      if (layer !== null && layers[page] !== layer) continue;
      if (status !== null && variant.statuses[page] + 1 !== status) continue;
      if (low !== null && !(variant.top_and_random[page] >= low)) continue;
      if (high !== null && !(variant.top_and_random[page] <= high)) continue;
      if (exact ? layers[page] !== exact.layer || rows.neurons[page] !== exact.neuron : !words.every((word) => lowered[page].includes(word))) continue;
      found.push(page);
    }
    return Uint32Array.from(found);
  }

  // Missing values come last, whichever way the table is sorted.
  function ordered(pages, values, down) {
    if (!values) return down ? pages.reverse() : pages;
    const there = pages.filter((page) => !Number.isNaN(values[page]));
    const sign = down ? -1 : 1;
    there.sort((a, b) => sign * (values[a] - values[b]) || a - b);
    const sorted = new Uint32Array(pages.length);
    sorted.set(there);
    sorted.set(pages.filter((page) => Number.isNaN(values[page])), there.length);
    return sorted;
  }

  const BLANK = { q: "", by: "words", layer: "", status: "", min: "", max: "", sort: "neuron" };
  const stateOf = (query) => ({ ...BLANK, ...Object.fromEntries([...query].filter(([key]) => key in BLANK)) });
  function remember(state) {
    const kept = Object.entries(state).filter(([key, value]) => value !== BLANK[key]);
    neurogloss.replaceHash(`#/${kept.length ? `?${new URLSearchParams(kept)}` : ""}`);
  }

  function controls(rows, state, changed) {
    const set = (key) => (event) => ((state[key] = event.target.value), changed());
    const field = (key, label, wide, control) => el("div", { class: `field ${wide}` }, el("label", { for: `by-${key}` }, label), control);
    const input = (key, label, wide, attributes) => field(key, label, wide, el("input", { id: `by-${key}`, name: key, value: state[key], oninput: set(key), ...attributes }));
    const select = (key, label, options) =>
      field(key, label, "", el("select", { id: `by-${key}`, name: key, onchange: set(key) }, options.map(([value, text]) => el("option", { value, selected: String(state[key]) === String(value) }, text))));
    const present = new Set(rows.variants[0].statuses);
    const statuses = store.about.statuses.map(([name], code) => [code, name.replaceAll("_", " ")]).filter(([code]) => present.has(code - 1));
    const bound = (key, label) => input(key, label, "narrow", { type: "number", min: "-1", max: "1", step: "0.1", placeholder: key === "min" ? "−1" : "1" });
    return el(
      "div",
      { class: "filters", role: "search" },
      input("q", "Search explanations", "wide", { type: "search", placeholder: store.about.mode === "report" ? `words, or ${store.name(0)}` : `words, a meaning, or ${store.name(0)}`, autocomplete: "off", spellcheck: "false", maxlength: "300" }),
      store.about.mode === "report" ? null : select("by", "Search by", [["words", "words"], ["meaning", "meaning"]]),
      select("layer", "Layer", [["", "all layers"], ...store.layers.map(({ layer }) => [layer, `layer ${layer}`])]),
      select("status", "Status", [["", "all"], ...statuses]),
      bound("min", "Score from"),
      bound("max", "Score to"),
      el("button", { type: "button", class: "quiet", onclick: () => changed(true) }, "Clear"),
    );
  }

  // The table with its filters; `state` is what the address says.
  function browser(rows, state) {
    const { about } = store, all = columns(rows);
    const shownCount = el("p", { class: "shown", role: "status" });
    const listing = table(all, store.capital(store.about.unit.many), (key) => {
      const down = state.sort === key ? `-${key}` : state.sort === `-${key}` ? key : key === "neuron" ? key : `-${key}`;
      state.sort = down;
      update();
    });
    const holder = el("div");
    async function update(clear) {
      if (clear) {
        Object.assign(state, BLANK);
        holder.replaceChildren(controls(rows, state, update));
      }
      remember(state);
      let pages = matching(rows, state), note = "";
      const byMeaning = state.by === "meaning" && state.q.trim();
      const down = state.sort.startsWith("-"), key = state.sort.replace(/^-/, "");
      if (byMeaning) {
        const asked = state.q;
        const patience = setTimeout(() => (shownCount.textContent = "Asking the model; the first time it has to be loaded …"), 200);
        const near = await neurogloss.meaning.nearest(pages, state.q).catch((error) => ({ pages: new Uint32Array(0), note: error.message }));
        clearTimeout(patience);
        if (asked !== state.q || state.by !== "meaning") return;
        ({ pages, note } = near);
        if (state.sort !== "neuron") pages = ordered(pages, all.find((column) => column.key === key)?.values, down);
      } else pages = ordered(pages, all.find((column) => column.key === key)?.values, down);
      listing.show(pages, byMeaning && state.sort === "neuron" ? null : { key, down });
      shownCount.textContent = `${pages.length === rows.length ? plural(rows.length, store.about.unit.one) : `${count(pages.length)} of ${plural(rows.length, store.about.unit.one)}`}${note ? ` · ${note}` : ""}`;
    }
    holder.append(controls(rows, state, update));
    update();
    return { section: el("section", { class: `card browse${about.variants.length > 1 ? " several" : ""}`, id: "browse" }, el("h2", {}, about.pages < about.recorded ? `${store.capital(about.unit.many)} in this report` : `All ${about.unit.many}`), holder, shownCount, listing.box), refresh: () => (holder.replaceChildren(controls(rows, state, update)), update()) };
  }

  async function overview(main, query) {
    const { about } = store;
    const rows = await store.rows();
    const state = stateOf(query);
    const browse = browser(rows, state);
    const several = about.variants.length > 1;
    const show = (wanted) => {
      Object.assign(state, BLANK, wanted);
      browse.refresh();
      browse.section.scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    };
    const choose = (layer) => show({ layer: String(layer) });
    fill(
      main,
      el("h1", {}, `How well are the ${about.unit.many} of `, foreign(about.name, { class: "subject" }), " explained?"),
      (about.coders ?? []).map(([layer, format, explained, fire, latents, never]) => el("p", { class: "note" }, `Layer ${layer}, ${format}: ${(100 * explained).toFixed(1)} % of the variance explained, ${fire.toFixed(1)} of ${count(latents)} latents fire at a token${never ? `, ${count(never)} of those recorded never do` : ""}.`)),
      about.pages < about.recorded && el("p", { class: "notice" }, `The numbers are of all ${plural(about.recorded, about.unit.one)}; ${count(about.pages)} of them have a page here: the best, the strong but unexplained, and a sample of the rest. `, el("code", {}, "neurogloss view"), " shows every one."),
      several && about.differences.map((_, v) => neurogloss.differences(rows, v + 1, choose)),
      about.variants.map((one, v) => [
        several && el("h2", { class: "which" }, foreign(`${store.letter(v)} · ${one.name}`)),
        tiles(one),
        several ? null : el("div", { class: "pair" }, el("section", { class: "card" }, charts.distribution(one, about.edges)), el("section", { class: "card" }, charts.strips(one, about.edges, choose))),
      ]),
      several && el("h2", { class: "which" }, foreign(`By the scores of ${store.letter(0)} · ${about.variants[0].name}`)),
      lists(rows, show),
      browse.section,
    );
    return "Overview";
  }

  neurogloss.overview = overview;
}
