// What language models were asked about a unit and what they answered; loaded when the page has been shown.
"use strict";
{
  const { el, fill, visible, foreign, count, load, store, plural } = neurogloss;
  const NAMES = { system: "system", user: "asked", assistant: "answered" };

  const turn = (role, text) => el("div", { class: `turn ${role}` }, el("span", { class: "who" }, role), el("pre", {}, el("bdi", {}, visible(text).replaceAll("↵", "\n"))));
  const price = (usd) => (usd ? `$${usd < 0.001 ? usd.toPrecision(2) : usd.toFixed(4)}` : null);

  // One question: the last turn and the answer; what stands before them is the same for every unit and folded away.
  function question(one, texts) {
    const before = one.turns.slice(0, -1), [role, last] = one.turns.at(-1);
    const [prompt, cached, completion] = one.tokens;
    const costs = [`${count(prompt)} tokens in${cached ? `, ${count(cached)} of them from a cache` : ""}`, `${count(completion)} out`, price(one.usd)].filter(Boolean).join(", ");
    const answer = texts[one.answer] || (one.levels ? `log-probabilities at ${plural(one.levels, "place")}` : "nothing");
    const short = visible(answer.trim().split("\n")[0]);
    return el(
      "details",
      { class: "question" },
      el("summary", {}, foreign(short.length > 90 ? `${short.slice(0, 90)}…` : short, { class: one.status === "ok" ? "said" : "said fault" }), one.status === "ok" ? null : el("span", { class: "fault" }, one.status.replaceAll("_", " ")), el("small", {}, costs)),
      before.length ? el("details", {}, el("summary", {}, `${plural(before.length, "turn")} before it: instructions and examples`), before.map(([who, text]) => turn(who, texts[text]))) : null,
      turn(NAMES[role] === "asked" ? "question" : role, texts[last]),
      turn("answer", answer),
    );
  }

  function stage(name, questions, texts) {
    const total = questions.reduce((sum, one) => sum + one.usd, 0);
    const head = [plural(questions.length, "question"), foreign(questions[0].model), price(total)].filter(Boolean);
    return [el("h3", { class: "headed" }, name, el("small", {}, head.flatMap((part, i) => (i ? [" · ", part] : [part])))), questions.map((one) => question(one, texts))];
  }

  function asked(page) {
    const box = el("section", { class: "card asked" });
    if (!store.about.counts.asked) return null;
    fill(box, el("h2", {}, "Questions and answers"), el("p", { class: "empty", role: "status" }, "Looking …"));
    load(`asked/${Math.floor(page / store.about.block)}`).then(
      (part) => {
        const variants = part.units[page - part.start];
        const parts = variants.map((questions, v) => {
          const stages = [...new Set(questions.map((one) => one.stage))];
          if (!stages.length) return null;
          return [variants.length > 1 ? el("p", { class: "which" }, foreign(`${store.letter(v)} · ${store.about.variants[v].name}`)) : null, stages.map((name) => stage(name, questions.filter((one) => one.stage === name), part.texts))];
        });
        fill(box, el("h2", {}, "Questions and answers"), el("p", { class: "note" }, "What language models were asked about this unit, from the kept replies. Open one to read it."), parts.some(Boolean) ? parts.flat(4) : el("p", { class: "empty" }, "No reply about it is kept here."));
      },
      (error) => fill(box, el("h2", {}, "Questions and answers"), el("p", { class: "empty" }, error.message)),
    );
    return box;
  }

  neurogloss.asked = asked;
}
