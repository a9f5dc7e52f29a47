// What changed an explanation: the rounds of revision of a unit, each with the texts that it was tested on.
"use strict";
{
  const { el, foreign, visible, score, missing, plural, store } = neurogloss;

  // One text: the tokens that excite the unit are coloured; in front what was expected, if anything was.
  function text([tokens, shares, expected, fired, shown]) {
    const said = [expected === null ? null : expected ? "expected to fire" : "expected to be silent", fired ? "fired" : "silent", shown ? null : "held out"].filter(Boolean);
    const line = el("p", { class: "tokens" }, tokens.map((token, i) => {
      const span = el("bdi", { class: "t" }, visible(token) || "∅");
      span.style.setProperty("--v", shares[i]);
      return span;
    }));
    return el("div", { class: "line real" }, el("span", { class: expected !== null && expected !== fired ? "which fault" : "which" }, said.join(", ")), line);
  }

  const change = (name, [before, after]) => (missing(before) || missing(after) ? null : `${name} ${score(before)} → ${score(after)}`);

  function round(one, number) {
    const facts = [change("select split", one.select), change("held-out sentences", one.generated)].filter(Boolean).join(", ");
    const wrong = one.evidence.filter(([, , expected, fired]) => expected !== null && expected !== fired).length;
    return el(
      "details",
      { class: "question" },
      el("summary", {}, one.after === null ? el("span", { class: "fault" }, one.status.replaceAll("_", " ")) : foreign(one.after), el("small", {}, `round ${number}: ${one.kept ? "kept" : "not kept"}${facts ? `, ${facts}` : ""}`)),
      el("p", { class: "note" }, "before: ", foreign(one.before)),
      one.evidence.length ? el("p", { class: "note" }, `${plural(one.evidence.length, "text")} (${one.method.replaceAll("_", " ")}), ${wrong} against expectation`) : null,
      one.evidence.map(text),
    );
  }

  neurogloss.revisions = (variants, several) => {
    if (!variants.some((variant) => variant.revisions.length)) return null;
    const parts = variants.map((variant, v) => (variant.revisions.length ? [several ? el("p", { class: "which" }, store.letter(v)) : null, variant.revisions.map((one, i) => round(one, i + 1))] : null));
    return el("section", { class: "card revisions" }, el("h2", {}, "What changed its mind"), el("p", { class: "note" }, "Each round puts the explanation to the test and asks for a better one; the better by the select split is kept."), parts.flat(3));
  };
}
