// Small charts, drawn again when their place changes its width.
"use strict";
{
  const { el, count, score, amount, store } = neurogloss;
  const tip = (target) => ({
    onpointermove: (event) => neurogloss.showTip(event.clientX, event.clientY, target()),
    onpointerleave: () => neurogloss.hideTip(),
  });

  // A figure whose picture is drawn for the width it gets.
  function figure(title, label, draw, ...more) {
    const holder = el("div", { class: "chart" });
    let drawn = 0;
    new ResizeObserver(([entry]) => {
      const width = Math.floor(entry.contentRect.width);
      if (width < 40 || width === drawn) return;
      drawn = width;
      const svg = el("svg", { role: "img", "aria-label": label, width });
      draw(svg, width);
      holder.replaceChildren(svg);
    }).observe(holder);
    return el("figure", { class: "figure" }, title && el("figcaption", {}, title), holder, ...more);
  }

  const legend = (items) =>
    el("ul", { class: "legend" }, items.map(([kind, name]) => el("li", {}, el("span", { class: `key ${kind}`, "aria-hidden": "true" }), name)));

  const outline = (counts, x, y) =>
    counts.map((value, i) => `${i ? "L" : "M"}${x(i).toFixed(1)} ${y(value).toFixed(1)}L${x(i + 1).toFixed(1)} ${y(value).toFixed(1)}`).join("");

  // Score distribution: bars for the explanations, outlines for baseline and control, as shares of their own number.
  function distribution(variant, edges) {
    const shares = Object.fromEntries(
      Object.entries(variant.histograms).map(([name, counts]) => {
        const total = counts.reduce((a, b) => a + b, 0) || 1;
        return [name, counts.map((value) => value / total)];
      }),
    );
    const used = edges.slice(0, -1).map((_, i) => Object.values(shares).some((values) => values[i] > 0));
    const first = Math.max(0, Math.min(used.indexOf(true), 14));
    const last = Math.min(edges.length - 2, Math.max(used.lastIndexOf(true), 30));
    const cut = (values) => values.slice(first, last + 1);
    const highest = Math.max(0.01, ...Object.values(shares).flat());
    const means = variant.means;
    const label = `Distribution of scores. Mean of the explanations ${score(means.top_and_random.mean)}, of the token table ${score(means.token_table.mean)}, of the control ${score(means.control.mean)}.`;
    return figure(
      "Score distribution",
      label,
      (svg, width) => {
        const height = 220, left = 46, bottom = 34, bins = last - first + 1;
        svg.setAttribute("height", height);
        const x = (i) => left + (i * (width - left - 6)) / bins;
        const y = (value) => 10 + (1 - value / highest) * (height - bottom - 10);
        for (const part of [0, 0.5, 1]) {
          svg.append(el("line", { class: "grid", x1: left, x2: width - 6, y1: y(part * highest), y2: y(part * highest) }));
          svg.append(el("text", { class: "tick", x: left - 6, y: y(part * highest) + 4, "text-anchor": "end" }, `${(part * highest * 100).toFixed(0)} %`));
        }
        cut(shares.top_and_random).forEach((value, i) => {
          const counted = () => [
            `score ${score(edges[first + i])} to ${score(edges[first + i + 1])}`,
            `explanations: ${count(variant.histograms.top_and_random[first + i])} ${store.about.unit.many}`,
            `token table: ${count(variant.histograms.token_table[first + i])}`,
            `control: ${count(variant.histograms.control[first + i])}`,
          ];
          svg.append(el("rect", { class: "bar-score", x: x(i) + 0.5, width: Math.max(1, x(i + 1) - x(i) - 1), y: y(value), height: Math.max(0, height - bottom - y(value)) }));
          svg.append(el("rect", { class: "catch", x: x(i), width: x(i + 1) - x(i), y: 0, height: height - bottom, ...tip(counted) }));
        });
        svg.append(el("path", { class: "line-control", d: outline(cut(shares.control), x, y) }), el("path", { class: "line-baseline", d: outline(cut(shares.token_table), x, y) }));
        for (let i = first; i <= last + 1; i++) {
          if (Math.round(edges[i] * 100) % 20) continue;
          svg.append(el("text", { class: "tick", x: x(i - first), y: height - bottom + 16, "text-anchor": i === edges.length - 1 ? "end" : "middle" }, score(edges[i], 1)));
        }
        svg.append(el("text", { class: "axis", x: width - 6, y: height - 3, "text-anchor": "end" }, "correlation of simulated with recorded"));
      },
      legend([["bar-score", "explanations"], ["line-baseline", "token table (baseline)"], ["line-control", "control"]]),
    );
  }

  // Two distributions over one another: the first as bars, the second as an outline, shares of their own number.
  function overlay(first, second, letters, edges) {
    const shares = [first, second].map((variant) => {
      const counts = variant.histograms.top_and_random, total = counts.reduce((a, b) => a + b, 0) || 1;
      return counts.map((value) => value / total);
    });
    const used = edges.slice(0, -1).map((_, i) => shares.some((values) => values[i] > 0));
    const from = Math.max(0, Math.min(used.indexOf(true), 14)), to = Math.min(edges.length - 2, Math.max(used.lastIndexOf(true), 30));
    const [a, b] = shares.map((values) => values.slice(from, to + 1)), highest = Math.max(0.01, ...a, ...b);
    const [A, B] = letters.map((v) => neurogloss.store.letter(v));
    return figure(
      "Score distributions",
      `Distribution of scores: mean of ${A} ${score(first.means.top_and_random.mean)}, of ${B} ${score(second.means.top_and_random.mean)}.`,
      (svg, width) => {
        const height = 220, left = 46, bottom = 34;
        svg.setAttribute("height", height);
        const x = (i) => left + (i * (width - left - 6)) / a.length, y = (value) => 10 + (1 - value / highest) * (height - bottom - 10);
        for (const part of [0, 0.5, 1]) {
          svg.append(el("line", { class: "grid", x1: left, x2: width - 6, y1: y(part * highest), y2: y(part * highest) }));
          svg.append(el("text", { class: "tick", x: left - 6, y: y(part * highest) + 4, "text-anchor": "end" }, `${(part * highest * 100).toFixed(0)} %`));
        }
        a.forEach((value, i) => {
          const counted = () => [`score ${score(edges[from + i])} to ${score(edges[from + i + 1])}`, `${A}: ${count(first.histograms.top_and_random[from + i])}`, `${B}: ${count(second.histograms.top_and_random[from + i])}`];
          svg.append(el("rect", { class: "bar-score", x: x(i) + 0.5, width: Math.max(1, x(i + 1) - x(i) - 1), y: y(value), height: Math.max(0, height - bottom - y(value)) }));
          svg.append(el("rect", { class: "catch", x: x(i), width: x(i + 1) - x(i), y: 0, height: height - bottom, ...tip(counted) }));
        });
        svg.append(el("path", { class: "line-baseline", d: outline(b, x, y) }));
        for (let i = from; i <= to + 1; i++) {
          if (Math.round(edges[i] * 100) % 20) continue;
          svg.append(el("text", { class: "tick", x: x(i - from), y: height - bottom + 16, "text-anchor": i === edges.length - 1 ? "end" : "middle" }, score(edges[i], 1)));
        }
        svg.append(el("text", { class: "axis", x: width - 6, y: height - 3, "text-anchor": "end" }, "score; share of the scored units"));
      },
      legend([["bar-score", A], ["line-baseline", B]]),
    );
  }

  // The mean difference by layer as bars from zero; those whose own interval leaves out zero are filled.
  function byLayer(layers, chosen) {
    const values = layers.map((one) => one.difference ?? 0);
    const low = Math.min(-0.05, ...values), high = Math.max(0.05, ...values);
    return figure(
      "Difference by layer",
      `Mean difference by layer: ${layers.map((one) => `layer ${one.layer} ${score(one.difference)}`).join(", ")}.`,
      (svg, width) => {
        const height = 220, left = 46, bottom = 34, step = (width - left - 6) / layers.length;
        svg.setAttribute("height", height);
        const y = (value) => 10 + ((high - value) / (high - low)) * (height - bottom - 10);
        for (const value of [low, 0, high]) {
          svg.append(el("line", { class: value ? "grid" : "grid zero", x1: left, x2: width - 6, y1: y(value), y2: y(value) }));
          svg.append(el("text", { class: "tick", x: left - 6, y: y(value) + 4, "text-anchor": "end" }, score(value)));
        }
        layers.forEach((one, i) => {
          const value = one.difference ?? 0, top = y(Math.max(0, value)), base = y(Math.min(0, value));
          svg.append(el("rect", { class: one.noise === false ? "bar-score" : "bar-faint", x: left + i * step + 1, width: Math.max(1, step - 2), y: top, height: Math.max(0.5, base - top) }));
          const counted = () => [`layer ${one.layer}: ${score(one.difference, 3)}`, one.low === null ? "too few for an interval" : `95 % interval ${score(one.low, 3)} to ${score(one.high, 3)}`, `${count(one.units)} units`];
          svg.append(el("rect", { class: "catch link", x: left + i * step, width: step, y: 0, height, onclick: () => chosen(one.layer), ...tip(counted) }));
          const seldom = Math.ceil(layers.length / Math.max(1, Math.floor((width - left) / 30)));
          if (i % seldom === 0) svg.append(el("text", { class: "tick", x: left + (i + 0.5) * step, y: height - bottom + 16, "text-anchor": "middle" }, one.layer));
        });
        svg.append(el("text", { class: "axis", x: width - 6, y: height - 3, "text-anchor": "end" }, "layer, from input to output"));
      },
      legend([["bar-score", "interval leaves out 0"], ["bar-faint", "within noise"]]),
    );
  }

  // The mean difference on a line around zero with its interval.
  function difference(found) {
    const reach = Math.max(0.02, ...[found.low, found.high, found.difference].map((value) => Math.abs(value ?? 0))) * 1.15;
    return figure(
      null,
      `Mean difference ${score(found.difference, 3)}, interval ${score(found.low, 3)} to ${score(found.high, 3)}.`,
      (svg, width) => {
        svg.setAttribute("height", 44);
        const x = (value) => 24 + ((value + reach) / (2 * reach)) * (width - 48);
        svg.append(el("line", { class: "rail", x1: x(-reach), x2: x(reach), y1: 16, y2: 16 }), el("line", { class: "grid zero", x1: x(0), x2: x(0), y1: 4, y2: 28 }));
        for (const value of [-reach, 0, reach]) svg.append(el("text", { class: "tick", x: x(value), y: 41, "text-anchor": "middle" }, score(value)));
        if (found.low !== null) svg.append(el("line", { class: "whisker", x1: x(found.low), x2: x(found.high), y1: 16, y2: 16 }));
        if (found.difference !== null) svg.append(el("circle", { class: "mark-score", cx: x(found.difference), cy: 16, r: 6.5 }));
      },
    );
  }

  // One strip per layer: dots where neurons are few, shading where they are many, a mark at the median.
  function strips(variant, edges, chosen) {
    const rows = variant.layers;
    const medians = rows.map((row) => `layer ${row.layer} ${score(row.quantiles[2])}`).join(", ");
    // Of many neurons the few beyond the bins that hold one in a thousand of a layer are left out.
    const filled = (row) => row.histogram.flatMap((value, k) => (value * 1000 >= row.count ? [edges[k], edges[k + 1]] : []));
    const values = rows.flatMap((row) => row.scores ?? filled(row)).filter((v) => v !== null);
    const low = Math.max(-1, Math.min(-0.1, ...values) - 0.02), high = Math.min(1, Math.max(0.3, ...values) + 0.05);
    return figure(
      "Score by layer",
      `Scores by layer, medians: ${medians}.`,
      (svg, width) => {
        const height = 220, left = 36, bottom = 34;
        svg.setAttribute("height", height);
        const step = (width - left - 6) / rows.length;
        const y = (value) => 10 + ((high - value) / (high - low)) * (height - bottom - 10);
        const every = high - low > 1 ? 0.4 : high - low > 0.6 ? 0.2 : 0.1;
        for (let value = Math.ceil(low / every) * every; value <= high; value += every) {
          svg.append(el("line", { class: Math.abs(value) < 1e-9 ? "grid zero" : "grid", x1: left, x2: width - 6, y1: y(value), y2: y(value) }));
          svg.append(el("text", { class: "tick", x: left - 6, y: y(value) + 4, "text-anchor": "end" }, score(value, 1)));
        }
        rows.forEach((row, i) => {
          const middle = left + (i + 0.5) * step, wide = Math.max(2, Math.min(26, step * 0.78));
          if (row.scores) {
            row.scores.forEach((value, k) =>
              svg.append(el("circle", { class: "dot", cx: middle + (((k * 0.618034) % 1) - 0.5) * wide * 0.8, cy: y(value), r: Math.min(3, Math.max(1.6, step / 5)) })));
          } else {
            const most = Math.max(1, ...row.histogram);
            row.histogram.forEach((value, k) => {
              const top = Math.min(high, edges[k + 1]), base = Math.max(low, edges[k]);
              if (value && top > base)
                svg.append(el("rect", { class: "cell", x: middle - wide / 2, width: wide, y: y(top), height: y(base) - y(top), "--v": Math.sqrt(value / most).toFixed(3) }));
            });
          }
          if (row.quantiles[2] !== null) svg.append(el("line", { class: "median", x1: middle - wide / 2, x2: middle + wide / 2, y1: y(row.quantiles[2]), y2: y(row.quantiles[2]) }));
          const tooltip = () => [`layer ${row.layer}: ${count(row.count)} scored`, `median ${score(row.quantiles[2])}, half between ${score(row.quantiles[1])} and ${score(row.quantiles[3])}`, `click to see its ${store.about.unit.many}`];
          svg.append(el("rect", { class: "catch link", x: left + i * step, width: step, y: 0, height, onclick: () => chosen(row.layer), ...tip(tooltip) }));
          const seldom = Math.ceil(rows.length / Math.max(1, Math.floor((width - left) / 30)));
          if (i % seldom === 0) svg.append(el("text", { class: "tick", x: middle, y: height - bottom + 16, "text-anchor": "middle" }, row.layer));
        });
        svg.append(el("text", { class: "axis", x: width - 6, y: height - 3, "text-anchor": "end" }, "layer, from input to output"));
      },
      legend([[rows.some((row) => row.scores) ? "dot" : "cell", rows.some((row) => row.scores) ? `a ${store.about.unit.one}` : `share of the layer's ${store.about.unit.many}`], ["median", "median"]]),
    );
  }

  // How often each activation occurs: random excerpts as bars, top excerpts as an outline; the scale of counts is logarithmic.
  function activations(histogram, name) {
    const { low, high } = histogram, bins = histogram.random.length;
    const most = Math.max(1, ...histogram.random, ...histogram.top);
    return figure(
      null,
      `Histogram of ${name}'s activations, from ${amount(low)} to ${amount(high)}.`,
      (svg, width) => {
        const height = 140, left = 34, bottom = 30;
        svg.setAttribute("height", height);
        const x = (i) => left + (i * (width - left - 4)) / bins;
        const y = (value) => 8 + (1 - Math.log1p(value) / Math.log1p(most)) * (height - bottom - 8);
        for (let value = 1; value <= most; value *= 10) {
          svg.append(el("line", { class: "grid", x1: left, x2: width - 4, y1: y(value), y2: y(value) }));
          if (value === 1 || value * 10 > most || width > 260) svg.append(el("text", { class: "tick", x: left - 5, y: y(value) + 4, "text-anchor": "end" }, value >= 1000 ? `${value / 1000}k` : value));
        }
        histogram.random.forEach((value, i) => {
          const tooltip = () => [`activation ${amount(low + (i * (high - low)) / bins)} to ${amount(low + ((i + 1) * (high - low)) / bins)}`, `${count(value)} tokens of random excerpts`, `${count(histogram.top[i])} of top excerpts`];
          svg.append(el("rect", { class: "bar-real", x: x(i) + 0.4, width: Math.max(0.8, x(i + 1) - x(i) - 0.8), y: y(value), height: Math.max(0, height - bottom - y(value)) }));
          svg.append(el("rect", { class: "catch", x: x(i), width: x(i + 1) - x(i), y: 0, height: height - bottom, ...tip(tooltip) }));
        });
        svg.append(el("path", { class: "line-top", d: outline(histogram.top, x, y) }));
        const zero = x(((0 - low) / (high - low || 1)) * bins);
        if (low < 0 && high > 0) svg.append(el("line", { class: "grid zero", x1: zero, x2: zero, y1: 4, y2: height - bottom }), el("text", { class: "tick", x: zero, y: height - bottom + 15, "text-anchor": "middle" }, "0"));
        svg.append(el("text", { class: "tick", x: width - 4, y: height - bottom + 15, "text-anchor": "end" }, amount(high)));
        if (zero - left > 50 || low >= 0) svg.append(el("text", { class: "tick", x: left, y: height - bottom + 15 }, amount(low)));
        svg.append(el("text", { class: "axis", x: width - 4, y: height - 2, "text-anchor": "end" }, "activation; number of tokens, log scale"));
      },
      legend([["bar-real", "random excerpts"], ["line-top", "top excerpts"]]),
    );
  }

  // A score on the line from -1 to 1 with its interval, against baseline and control.
  function interval(scores) {
    const between = scores.ci_low === null || scores.ci_high === null ? "" : `, 95 % interval ${score(scores.ci_low)} to ${score(scores.ci_high)}`;
    const label = `Score ${score(scores.top_and_random)}${between}; token table ${score(scores.token_table)}, control ${score(scores.control)}.`;
    return figure(
      null,
      label,
      (svg, width) => {
        svg.setAttribute("height", 56);
        const low = Math.min(-0.2, ...[scores.ci_low, scores.control, scores.token_table, scores.top_and_random].filter((v) => v !== null));
        const x = (value) => 8 + ((value - low) / (1 - low)) * (width - 16);
        svg.append(el("line", { class: "rail", x1: x(low), x2: x(1), y1: 22, y2: 22 }));
        for (const value of [0, 0.5, 1]) {
          svg.append(el("line", { class: "grid zero", x1: x(value), x2: x(value), y1: 12, y2: 32 }), el("text", { class: "tick", x: x(value), y: 50, "text-anchor": value === 1 ? "end" : "middle" }, value));
        }
        if (scores.control !== null) svg.append(el("path", { class: "mark-control", d: `M${x(scores.control) - 5} 17l10 10m0-10l-10 10`, ...tip(() => [`control ${score(scores.control)}`]) }));
        if (scores.ci_low !== null && scores.ci_high !== null) svg.append(el("line", { class: "whisker", x1: x(scores.ci_low), x2: x(scores.ci_high), y1: 22, y2: 22 }));
        if (scores.top_and_random !== null) svg.append(el("circle", { class: "mark-score", cx: x(scores.top_and_random), cy: 22, r: 6.5, ...tip(() => [label]) }));
        if (scores.token_table !== null) svg.append(el("path", { class: "mark-baseline", d: `M${x(scores.token_table)} 16.5l5.5 5.5l-5.5 5.5l-5.5-5.5z`, ...tip(() => [`token table ${score(scores.token_table)}`]) })); // on top, so that both show where they meet
      },
      legend([["mark-score", "explanation"], ["mark-baseline", "token table"], ["mark-control", "control"]]),
    );
  }

  neurogloss.charts = { distribution, overlay, byLayer, difference, strips, activations, interval };
}
