// Chunks of data, elements made of text, numbers for people.
"use strict";
globalThis.neurogloss = (() => {
  const values = new Map();
  const pending = new Map();
  const KEPT = 48;

  // Only this policy may make the address of a script, and only of a chunk.
  const policy = globalThis.trustedTypes?.createPolicy("neurogloss", { createScriptURL: address });
  function address(name) {
    if (!/^[a-z]+(\/[0-9]{1,7})?$/.test(name)) throw new TypeError(`not a chunk: ${name}`);
    return `data/${name}.js`;
  }

  function arrived(name, value) {
    values.delete(name);
    values.set(name, value);
    const passing = [...values.keys()].filter((key) => /^(neurons|related|model)\//.test(key));
    if (passing.length > KEPT && !api.inlined) values.delete(passing[0]);
  }

  // The value of a chunk; scripts work from a file and under a strict policy, fetch does not.
  function load(name) {
    if (values.has(name)) return Promise.resolve(values.get(name));
    if (pending.has(name)) return pending.get(name);
    const promise = new Promise((resolve, reject) => {
      if (api.inlined) return reject(new Error(`${name} is not part of this report`));
      const script = document.createElement("script");
      script.onload = () => (values.has(name) ? resolve(values.get(name)) : reject(new Error(`${name} holds no data`)));
      script.onerror = () => reject(new Error(`${name} cannot be loaded; is the server still running?`));
      script.src = policy ? policy.createScriptURL(name) : address(name);
      document.head.append(script);
    }).finally(() => pending.delete(name));
    pending.set(name, promise);
    return promise;
  }

  function bytes(base64) {
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
    const text = atob(base64);
    const out = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i);
    return out;
  }
  const ints = (base64) => new Int32Array(bytes(base64).buffer);
  const floats = (base64) => new Float32Array(bytes(base64).buffer);

  const SVG = "http://www.w3.org/2000/svg";
  const SVG_TAGS = new Set(["svg", "g", "rect", "line", "path", "circle", "text", "title"]);

  // An element; children are elements or text, never markup. "class", "on..." and "--x" are what they look like.
  function el(tag, attributes, ...children) {
    const node = SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
    for (const [key, value] of Object.entries(attributes ?? {})) {
      if (value === null || value === undefined || value === false) continue;
      if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
      else if (key.startsWith("--")) node.style.setProperty(key, value);
      else node.setAttribute(key, value === true ? "" : value);
    }
    node.append(...kept(children));
    return node;
  }
  const kept = (children) => children.flat(3).filter((child) => child !== null && child !== undefined && child !== false);
  // Replace what stands in a node.
  const fill = (node, ...children) => node.replaceChildren(...kept(children));

  // Controls, marks that turn the line around and lone half characters, shown instead of obeyed.
  const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
  function visible(text) {
    return text.replace(HIDDEN, (sign) => {
      const code = sign.charCodeAt(0);
      if (code === 10) return "↵";
      if (code === 9) return "⇥";
      if (code < 32) return String.fromCharCode(0x2400 + code);
      return `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
    });
  }
  // Foreign text: visible, and its direction stays inside.
  const foreign = (text, attributes) => el("bdi", attributes, visible(text));

  const whole = new Intl.NumberFormat("en");
  const count = (value) => whole.format(value);
  const missing = (value) => value === null || value === undefined || Number.isNaN(value);
  const score = (value, digits = 2) => (missing(value) ? "–" : value.toFixed(digits).replace("-", "−").replace(/^−(0\.?0*)$/, "$1"));
  const share = (value) => {
    if (missing(value)) return "–";
    const percent = value * 100;
    return `${percent >= 10 || percent === 0 ? percent.toFixed(0) : percent >= 1 ? percent.toFixed(1) : percent.toPrecision(1)} %`;
  };
  const amount = (value) => {
    if (missing(value)) return "–";
    const size = Math.abs(value);
    const text = size === 0 ? "0" : size >= 100 ? value.toFixed(0) : size >= 0.01 ? value.toPrecision(3) : value.toExponential(1);
    return text.replace("-", "−");
  };
  const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

  function say(message) {
    document.getElementById("live").textContent = message;
  }

  const api = { arrived, load, bytes, ints, floats, el, fill, visible, foreign, count, score, share, amount, plural, missing, say, inlined: false };
  return api;
})();
