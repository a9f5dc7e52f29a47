// What is known of the result: which neurons have a page, and the columns of the overview.
"use strict";
{
  const { load, ints, floats, bytes } = neurogloss;
  const SCHEMA = 2;
  const store = { about: null, layers: null, table: null };

  // One of them, whichever side.
  Object.defineProperty(store, "kind", { get: () => ({ N: "neuron", F: "latent", H: "head", D: "direction" })[store.about.unit.letter] });

  store.open = async () => {
    store.about = await load("about");
    if (store.about.schema !== SCHEMA) throw new Error(`the data are of schema ${store.about.schema}, this page reads ${SCHEMA}; write the site again`);
    store.layers = store.about.layers.map((layer) => ({ ...layer, neurons: layer.neurons && ints(layer.neurons) }));
  };

  // "Latents" where a line begins with it.
  store.capital = (text) => text.replace(/^./, (letter) => letter.toUpperCase());

  // Where a neuron's page stands in the order of pages, or -1.
  store.page = (layer, neuron) => {
    const found = store.layers.find((one) => one.layer === layer);
    if (!found) return -1;
    const place = found.neurons ? found.neurons.indexOf(neuron) : neuron < found.count ? neuron : -1;
    return place < 0 ? -1 : found.start + place;
  };
  store.place = (page) => {
    const found = store.layers.findLast((one) => one.start <= page);
    const rank = page - found.start;
    return { layer: found.layer, neuron: found.neurons ? found.neurons[rank] : rank, rank };
  };
  store.name = (page) => {
    const { layer, neuron } = store.place(page);
    return `L${layer}.${store.about.unit.letter}${neuron < 0 ? `${-1 - neuron}-` : neuron}`;
  };
  // What a variant is called for short.
  store.letter = (variant) => String.fromCharCode(65 + variant);
  store.href = (page) => `#/neuron/${store.name(page)}`;
  // The neuron of the same rank in the next layer that has pages.
  store.beside = (page, step) => {
    const position = store.layers.findLastIndex((one) => one.start <= page);
    const next = store.layers[position + step];
    if (!next) return -1;
    return next.start + Math.min(page - store.layers[position].start, next.count - 1);
  };
  store.parse = (text) => {
    const found = /^\s*(?:L(?:ayer)?)?\s*(\d{1,6})\s*(?:[.:,\s/]\s*(?:([NFHD])(?:euron|eature|ead|irection)?)?|([NFHD])(?:euron|eature|ead|irection)?)\s*(\d{1,9})(-?)\s*$/i.exec(text);
    const letter = found && (found[2] ?? found[3]);
    if (!found || (letter && letter.toUpperCase() !== store.about.unit.letter)) return null;
    return { layer: Number(found[1]), neuron: found[5] ? -1 - Number(found[4]) : Number(found[4]) };
  };

  // The pages nearest to a unit that has none: by layer, then by number.
  store.nearest = ({ layer, neuron }, kept = 4) => {
    const pages = [...Array(store.about.pages).keys()].map((page) => [page, store.place(page)]);
    const far = (place) => Math.abs(place.layer - layer) * 1e9 + Math.abs(place.neuron - neuron);
    return pages.sort((a, b) => far(a[1]) - far(b[1])).slice(0, kept).map(([page]) => page);
  };

  const COLUMNS = ["top_and_random", "random_only", "token_table", "control"];
  // Every row of the overview, as columns.
  store.rows = async () => {
    if (store.table) return store.table;
    const { about } = store;
    const parts = await Promise.all(Array.from({ length: about.counts.rows }, (_, i) => load(`rows/${i}`)));
    const joined = (kind, pick) => {
      const out = new kind(about.pages);
      for (const part of parts) out.set(pick(part), part.start);
      return out;
    };
    const variants = about.variants.map((_, v) => ({
      texts: parts.flatMap((part) => part.variants[v].texts),
      statuses: joined(Int8Array, (part) => new Int8Array(bytes(part.variants[v].statuses).buffer)),
      ...Object.fromEntries(COLUMNS.map((name) => [name, joined(Float32Array, (part) => floats(part.variants[v].scores[name]))])),
    }));
    store.table = {
      length: about.pages,
      layers: joined(Int32Array, (part) => ints(part.layers)),
      neurons: joined(Int32Array, (part) => ints(part.neurons)),
      firing: joined(Float32Array, (part) => floats(part.firing)),
      peaks: joined(Float32Array, (part) => floats(part.peaks)),
      variants,
      lowered: variants[0].texts.map((_, page) => variants.map((variant) => variant.texts[page] ?? "").join("\n").toLowerCase()),
    };
    return store.table;
  };

  // Texts of tokens and the tokens of excerpts, loaded where needed.
  const shards = new Map();
  async function shard(kind, number, made) {
    const key = `${kind}/${number}`;
    if (!shards.has(key)) shards.set(key, load(key).then(made));
    return shards.get(key);
  }
  store.excerpts = async (wanted) => {
    const { excerpts_per_shard: size, tokens, pieces_per_shard: pieces } = store.about;
    const numbers = [...new Set(wanted.map((row) => Math.floor(row / size)))];
    const parts = new Map();
    const opened = (part) => ({ ...part, ids: part.ids ?? ints(part.tokens) });
    const vocabulary = Promise.all(Array.from({ length: store.about.counts.pieces }, (_, i) => shard("pieces", i, (part) => part)));
    await Promise.all(numbers.map(async (number) => parts.set(number, await shard("excerpts", number, opened))));
    const texts = await vocabulary;
    return wanted.map((row) => {
      const part = parts.get(Math.floor(row / size));
      const local = part.rows ? part.rows[row] : row % size;
      const ids = part.ids.subarray(local * tokens, (local + 1) * tokens);
      return {
        document: part.documents[part.document[local]],
        start: part.starts[local],
        tokens: Array.from(ids, (id) => texts[Math.floor(id / pieces)][id % pieces]),
      };
    });
  };

  neurogloss.store = store;
}
