// The page of one neuron.
"use strict";
{
  const { el, fill, foreign, score, share, amount, load, bytes, ints, store, charts, heatmap, missing, plural } = neurogloss;

  // Of a head: an excerpt's strongest token and the tokens it reads, the one it reads most first; null where it reads none.
  function attended({ kept }, { attends }, at) {
    const keys = Array.from({ length: kept }, (_, k) => ({ place: attends.places[at * kept + k], share: attends.shares[at * kept + k] / 255 })).filter((key) => key.share > 0);
    return keys.length ? { query: attends.queries[at], keys } : null;
  }

  // The parts of a block that belong to one neuron.
  async function opened(page) {
    const { about } = store;
    const block = await load(`neurons/${Math.floor(page / about.block)}`);
    block.open ??= { excerpts: ints(block.excerpts), recorded: bytes(block.recorded), simulated: block.variants.map((variant) => bytes(variant.simulated)), attends: block.attends && { queries: ints(block.attends.queries), places: ints(block.attends.places), shares: bytes(block.attends.shares) } };
    const n = page - block.start, shown = about.shown.length, tokens = about.tokens;
    const texts = await store.excerpts([...block.open.excerpts.subarray(n * shown, (n + 1) * shown)]);
    const peak = block.statistics.peak[n] ?? (block.statistics.maximum[n] > 0 ? block.statistics.maximum[n] : 1);
    const excerpts = about.shown.map((slot, s) => {
      const part = (n * shown + s) * tokens;
      const activation = Float64Array.from(block.open.recorded.subarray(part, part + tokens), (value) => (value - block.zero[n]) * block.step[n]);
      const simulations = block.open.simulated.map((all, v) => {
        const levels = all.subarray(part, part + tokens);
        return slot.simulated[v] && levels[0] !== 255 ? Float64Array.from(levels, (value) => value / 250) : null;
      });
      const attends = block.attends && attended(block.attends, block.open, n * shown + s);
      const faults = block.variants.map((variant) => variant.faults[n][s]).filter(Boolean);
      const senses = block.variants.map((variant) => variant.senses?.[n]?.at[s] ?? null);
      return { ...slot, ...texts[s], senses, activation, real: activation.map((value) => value / peak), simulations, faults, attends };
    });
    const statistics = Object.fromEntries(Object.entries(block.statistics).map(([name, values]) => [name, values[n]]));
    const variants = block.variants.map((variant) => ({
      text: variant.texts[n],
      status: about.statuses[variant.statuses[n] + 1],
      candidates: variant.candidates[n],
      revisions: variant.revisions?.[n] ?? [],
      senses: variant.senses?.[n] ?? null,
      scores: Object.fromEntries(Object.entries(variant.scores).map(([name, values]) => [name, values[n]])),
    }));
    return { excerpts, statistics, variants, histogram: block.histograms[n], tokens: block.tokens[n], promoted: block.promoted?.[n] ?? [[], []], deviations: block.peak_deviations[n] };
  }

  const SCORES = [
    ["random_only", "on random excerpts only"],
    ["top_only", "on top excerpts only"],
    ["variance_explained", "variance explained, calibrated"],
    ["token_table", "token table (baseline)"],
    ["control", "control (other units' explanations)"],
    ["margin", "score less control"],
    ["sensitivity", "sensitivity (1: explanations are not read)"],
  ];

  const BESIDE = [
    ["random_only", "random only", "the same on random excerpts alone"],
    ["control", "control", "other units' explanations on the same excerpts"],
    ["token_table", "token table", "baseline: mean activation per token, no explanation"],
  ];

  const between = (low, high) => (missing(low) ? "" : ` (${score(low)} to ${score(high)})`);

  // Several senses, each with its share and its score by itself; else the one sentence.
  function gloss({ text, senses }) {
    if (text === null) return el("p", { class: "gloss none" }, "No explanation.");
    if (!senses) return el("p", { class: "gloss" }, foreign(text));
    const [single, value] = senses.single;
    return el(
      "div",
      { class: "senses" },
      senses.list.map(([sense, part, found, low, high, status], i) => el("div", {}, el("span", { class: "badge sense" }, `sense ${i + 1}`), el("p", { class: "gloss" }, foreign(sense)), el("p", { class: "note" }, `${share(part)} of its firing, by itself ${missing(found) ? `no score: ${status.replaceAll("_", " ")}` : `score ${score(found)}${between(low, high)}`}`))),
      el("p", { class: "note" }, "In place of one sentence: ", foreign(single), missing(value) ? null : ` (score ${score(value)})`),
    );
  }

  function explanation(variant, name) {
    const { scores, status } = variant;
    return el(
      "section",
      { class: "card explanation" },
      name && el("h2", { class: "which" }, foreign(name)),
      gloss(variant),
      el(
        "div",
        { class: "verdict" },
        el("p", { class: "big" }, el("strong", {}, missing(scores.top_and_random) ? "no score" : score(scores.top_and_random)), el("span", {}, missing(scores.top_and_random) ? "" : `${variant.senses ? "score of all senses" : "score"}${missing(scores.ci_low) ? "" : `, 95 % interval ${score(scores.ci_low)} to ${score(scores.ci_high)}`}`)),
        missing(scores.top_and_random) ? null : el("dl", { class: "beside" }, BESIDE.map(([key, label, title]) => el("div", { title }, el("dt", {}, label), el("dd", {}, score(scores[key]))))),
        status[0] === "ok" ? null : el("p", { class: "fault" }, `${status[1][0].toUpperCase()}${status[1].slice(1)}.`),
        missing(scores.top_and_random) ? null : charts.interval(scores),
      ),
      el("details", {}, el("summary", {}, "All scores"), el("table", { class: "plain" }, el("tbody", {}, SCORES.map(([key, label]) => el("tr", {}, el("th", { scope: "row" }, label), el("td", {}, score(scores[key], 3))))))),
      variant.candidates.length > 1 &&
        el("details", {}, el("summary", {}, plural(variant.candidates.length, "candidate")), el("ol", { class: "candidates" }, variant.candidates.map(([text, state, chosen]) => el("li", {}, text === null ? el("em", {}, state.replaceAll("_", " ")) : foreign(text), chosen === null ? null : el("span", { class: "value" }, score(chosen)))))),
    );
  }

  // Tokens with a value each, as chips whose colour tells how much.
  function chips(tokens, most, kind, title) {
    return el("ul", { class: "chips" }, tokens.map(([text, value, often]) => el("li", { class: `chip ${kind}`, title: title(value, often), "--v": Math.min(1, Math.abs(value) / (most || 1)).toFixed(3) }, foreign(text.replace(/^ /, "·")), el("small", {}, amount(value)))));
  }

  // Tokens whose logits a unit raises, then those that it lowers.
  function signed([raised, lowered]) {
    const most = Math.max(...raised.map((pair) => Math.abs(pair[1])), ...lowered.map((pair) => Math.abs(pair[1])));
    const title = (value) => `logit ${amount(value)}`;
    return [
      el("div", { class: "signed" }, el("span", { class: "sign", title: "promoted" }, "+"), chips(raised, most, "real", title)),
      el("div", { class: "signed" }, el("span", { class: "sign", title: "suppressed" }, "−"), chips(lowered, most, "minus", title)),
    ];
  }

  function facts(statistics, deviations) {
    const rows = [
      ["At level 1 or above", `${share(statistics.firing_share)} of tokens in random excerpts`],
      ["Mean", amount(statistics.mean)],
      ["Standard deviation", amount(Math.sqrt(statistics.variance))],
      ["Peak", missing(statistics.peak) ? "–" : `${amount(statistics.peak)}${missing(deviations) ? "" : ` (${deviations.toFixed(1)} sd)`}`],
      ["Skewness", amount(statistics.skewness)],
      ["Kurtosis", amount(statistics.kurtosis)],
    ];
    return el("dl", { class: "facts" }, rows.map(([label, value]) => el("div", {}, el("dt", {}, label), el("dd", {}, value))));
  }

  function steps(page) {
    const link = (to, text, label, keys) => (to >= 0 && to < store.about.pages ? el("a", { class: "step", href: store.href(to), "aria-label": `${label}: ${store.name(to)}`, title: `${store.name(to)} (${keys})` }, text) : el("span", { class: "step off", role: "link", "aria-disabled": "true", "aria-label": `No ${label.toLowerCase()}` }, text));
    const copied = el("button", {
      type: "button",
      class: "quiet",
      onclick: async () => {
        const address = location.href;
        try {
          await navigator.clipboard.writeText(address);
          copied.textContent = "Copied";
        } catch {
          copied.textContent = "Copy it from the address bar";
        }
        neurogloss.say(copied.textContent);
        setTimeout(() => (copied.textContent = "Copy link"), 2000);
      },
    }, "Copy link");
    return el(
      "nav",
      { class: "steps", "aria-label": `Neighbouring ${store.about.unit.many}` },
      link(page - 1, `← ${store.about.unit.one}`, `Previous ${store.about.unit.one}`, "←"),
      link(page + 1, `${store.about.unit.one} →`, `Next ${store.about.unit.one}`, "→"),
      link(store.beside(page, -1), "↑ layer", "Previous layer", "shift ↑"),
      link(store.beside(page, 1), "↓ layer", "Next layer", "shift ↓"),
      neurogloss.framed ? null : copied,
    );
  }

  async function neuron(main, name, current) {
    const place = store.parse(name);
    const page = place ? store.page(place.layer, place.neuron) : -1;
    if (page < 0) {
      fill(main, el("h1", {}, `No such ${store.about.unit.one}`), el("p", { class: "notice" }, foreign(`“${name.slice(0, 80)}”`), ` is not among the ${plural(store.about.pages, store.about.unit.one)} here. `, place ? ["The nearest are ", store.nearest(place).map((page, i) => [i ? ", " : "", el("a", { href: store.href(page) }, store.name(page))]), "."] : `Names look like ${store.name(0)}.`), el("p", {}, el("a", { href: "#/" }, `See all ${store.about.unit.many}`)));
      return `No such ${store.about.unit.one}`;
    }
    const { layer, neuron: index } = store.place(page);
    const found = await opened(page);
    if (!current()) return null; // another page was asked for meanwhile
    const several = store.about.variants.length > 1, names = store.about.variants.map((variant) => variant.name);
    const most = found.tokens[0]?.[1];
    fill(
      main,
      el("div", { class: "title" }, el("h1", {}, store.name(page), " ", el("small", {}, `layer ${layer}, ${store.kind} ${index < 0 ? `${-1 - index}, negative side` : index}`)), steps(page)),
      el("div", { class: several ? "pair" : "" }, found.variants.map((variant, v) => explanation(variant, several ? `${store.letter(v)} · ${names[v]}` : null))),
      el(
        "div",
        { class: "split" },
        el("div", { class: "main" }, el("section", { class: "card", "aria-label": "Excerpts" }, heatmap(found.excerpts, names)), neurogloss.revisions(found.variants, several), neurogloss.asked ? neurogloss.asked(page) : null),
        el(
          "div",
          { class: "aside" },
          el("section", { class: "card" }, el("h2", {}, "Activations"), charts.activations(found.histogram, store.name(page)), facts(found.statistics, found.deviations)),
          el("section", { class: "card" }, el("h2", {}, "Tokens it fires on"), el("p", { class: "note" }, "Highest mean activation over the corpus, score excerpts left out."), found.tokens.length ? chips(found.tokens, most, "real", (value, often) => `mean ${amount(value)}, ${plural(often, "occurrence")}`) : el("p", { class: "empty" }, "None above zero.")),
          found.promoted[0].length ? el("section", { class: "card" }, el("h2", {}, "Tokens it promotes and suppresses"), el("p", { class: "note" }, "What it writes to the residual stream does to their logits, among the corpus' most frequent tokens."), signed(found.promoted)) : null,
          neurogloss.related ? neurogloss.related(page) : null,
        ),
      ),
    );
    return store.name(page);
  }

  neurogloss.neuron = neuron;
  neurogloss.chips = chips;
}
