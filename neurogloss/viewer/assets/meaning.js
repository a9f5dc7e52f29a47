// Search by meaning: the average of the subject's word embeddings, compared in the page.
"use strict";
{
  const { load, bytes, floats, store } = neurogloss;
  const WIDTH = 128, KEPT = 200;
  let index = null;

  const cut = (words, text) => Array.from(text.toLowerCase(), (sign) => (sign in words.signs ? ` ${words.signs[sign]} ` : sign)).join("").match(/\p{L}+/gu) ?? [];

  // Vector of a text, added into `out` at `at`; false where no word is known.
  function add(words, text, out, at) {
    let known = false;
    for (const word of cut(words, text)) {
      const found = words.places.get(word);
      if (found === undefined) continue;
      known = true;
      const weight = words.weights[found];
      for (let i = 0; i < WIDTH; i++) out[at + i] += words.vectors[found * WIDTH + i] * weight;
    }
    let length = 0;
    for (let i = 0; i < WIDTH; i++) length += out[at + i] ** 2;
    length = Math.sqrt(length) || 1;
    for (let i = 0; i < WIDTH; i++) out[at + i] /= length;
    return known;
  }

  async function open() {
    const about = await load("words");
    if (about.unavailable) throw new Error(`Search by meaning needs the model: ${about.unavailable}.`);
    const parts = await Promise.all(Array.from({ length: about.shards }, (_, i) => load(`words/${i}`)));
    const list = parts.flatMap((part) => part.words);
    const words = { signs: about.signs, places: new Map(list.map((word, i) => [word, i])), vectors: new Int8Array(list.length * WIDTH), weights: new Float32Array(list.length) };
    let at = 0;
    for (const part of parts) {
      words.vectors.set(new Int8Array(bytes(part.vectors).buffer), at * WIDTH);
      words.weights.set(floats(part.weights), at);
      at += part.words.length;
    }
    // An explanation may name several things that have nothing to do with one another: each has its own vector.
    const { texts } = (await store.rows()).variants[0];
    const parted = texts.map((text) => (text ?? "").split(";")), starts = new Uint32Array(texts.length + 1);
    parted.forEach((phrases, page) => (starts[page + 1] = starts[page] + phrases.length));
    const vectors = new Int8Array(starts[texts.length] * WIDTH), one = new Float32Array(WIDTH);
    parted.forEach((phrases, page) =>
      phrases.forEach((phrase, k) => {
        one.fill(0);
        add(words, phrase, one, 0);
        for (let i = 0; i < WIDTH; i++) vectors[(starts[page] + k) * WIDTH + i] = Math.round(one[i] * 127);
      }));
    return { words, vectors, starts };
  }

  // Of these pages the nearest to the query, nearest first.
  async function nearest(pages, query) {
    index ??= open();
    let opened;
    try {
      opened = await index;
    } catch (error) {
      index = null;
      throw error;
    }
    const { words, vectors, starts } = opened;
    const asked = new Float32Array(WIDTH);
    if (!add(words, query, asked, 0)) return { pages: new Uint32Array(0), note: "none of these words is known" };
    const likeness = new Float32Array(pages.length);
    pages.forEach((page, k) => {
      for (let at = starts[page]; at < starts[page + 1]; at++) {
        let sum = 0;
        for (let i = 0; i < WIDTH; i++) sum += vectors[at * WIDTH + i] * asked[i];
        likeness[k] = Math.max(likeness[k], sum / 127);
      }
    });
    const order = [...pages.keys()].filter((k) => likeness[k] > 0.2).sort((a, b) => likeness[b] - likeness[a]).slice(0, KEPT);
    return { pages: Uint32Array.from(order, (k) => pages[k]), note: order.length === KEPT ? `the ${KEPT} nearest in meaning` : "nearest in meaning first" };
  }

  neurogloss.meaning = { nearest, open: () => (index ??= open()) };
}
