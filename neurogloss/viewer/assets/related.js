// What a unit is connected with and resembles; it comes after the page, because it takes longer.
"use strict";
{
  const { el, fill, foreign, score, amount, load, store, plural } = neurogloss;

  function neurons(title, note, measure, pairs, known, value) {
    return [
      el("h3", { class: "headed" }, title, el("small", {}, `${measure} · score`)),
      note && el("p", { class: "note" }, note),
      pairs.length
        ? el("ul", { class: "near" }, pairs.map(([page, strength]) => {
            const [text, reached] = known[page];
            return el("li", {}, el("a", { href: store.href(page), class: "id" }, store.name(page)), el("span", { class: "value" }, `${value(strength)} · ${score(reached)}`), text === null ? el("em", { class: "text" }, "no explanation") : foreign(text, { class: "text" }));
          }))
        : el("p", { class: "empty" }, "None."),
    ];
  }

  function tokens(title, favoured, against) {
    const most = Math.max(...favoured.map((pair) => pair[1]), ...against.map((pair) => pair[1]));
    const tooltip = (value) => `strength ${amount(value)}`;
    return [
      el("h3", {}, title),
      el("div", { class: "signed" }, el("span", { class: "sign", title: "favoured" }, "+"), neurogloss.chips(favoured, most, "real", tooltip)),
      el("div", { class: "signed" }, el("span", { class: "sign", title: "disfavoured" }, "−"), neurogloss.chips(against.map(([text, value]) => [text, -value]), most, "minus", tooltip)),
    ];
  }

  const waiting = (text) => el("p", { class: "empty", role: "status" }, text);

  function related(page) {
    if (store.about.mode === "report") return el("p", { class: "note" }, `Similar and connected ${store.about.unit.many} are shown by `, el("code", {}, "neurogloss view"), ".");
    const number = Math.floor(page / store.about.block);
    const among = `among the ${plural(store.about.pages, store.about.unit.one)} here`;
    const likeness = (value) => score(value);
    const weight = (value) => amount(value);
    const resembling = el("section", { class: "card" }, el("h2", {}, `Similar ${store.about.unit.many}`), waiting("Comparing …"));
    const connected = el("section", { class: "card" }, el("h2", {}, "What its weights say"), waiting("Asking the model; the first time takes a while …"));
    const similar = el("div"), alike = el("div");
    load(`related/${number}`).then(
      (part) => {
        fill(similar, neurons("By activation", `Correlation of their mean activations per token, ${among}.`, "correlation", part.activation[page - part.start], part.known, likeness));
        fill(resembling, el("h2", {}, `Similar ${store.about.unit.many}`), similar, alike);
      },
      (error) => fill(resembling, el("h2", {}, `Similar ${store.about.unit.many}`), waiting(error.message)),
    );
    load(`model/${number}`).then(
      (part) => {
        if (part.unavailable) return fill(connected, el("h2", {}, "What its weights say"), waiting(`The model is not at hand: ${part.unavailable}.`));
        fill(alike, neurons("By explanation", null, "likeness", part.explanation[page - part.start], part.known, likeness));
        if (part.tokens === null) return fill(connected, el("h2", {}, "What its weights say"), waiting(`Weights from and to other units are shown for neurons; of ${store.about.unit.many} what they promote and suppress.`));
        const own = part.tokens[page - part.start];
        fill(
          connected,
          el("h2", {}, "What its weights say"),
          el("p", { class: "note" }, `Without any text: weights times embeddings, among the ${plural(part.among, "most frequent token")} of the corpus.`),
          tokens("Tokens it reads", own.reads, own.reads_against),
          tokens("Tokens it writes", own.writes, own.writes_against),
          neurons("Upstream neurons", `Largest weights from earlier layers, ${among}.`, "weight", part.upstream[page - part.start], part.known, weight),
          neurons("Downstream neurons", `Largest weights to later layers, ${among}.`, "weight", part.downstream[page - part.start], part.known, weight),
        );
      },
      (error) => fill(connected, el("h2", {}, "What its weights say"), waiting(error.message)),
    );
    return [resembling, connected];
  }

  neurogloss.related = related;
}
