// Which page is shown, keys, theme, the small window with values.
"use strict";
{
  const { el, foreign, store, say } = neurogloss;
  const main = document.getElementById("main"), tip = document.getElementById("tip");
  let wanted = 0, shown = null;

  // Where the address cannot change, as in the frame of an artifact pane, it is kept here.
  const framed = !["http:", "https:", "file:"].includes(location.protocol);
  let kept = "";
  const address = () => (framed ? kept : location.hash) || "#/";
  const placed = () => store.layers && store.parse(unescaped(address().split("/")[2] ?? ""));
  function go(hash) {
    if (!framed) return (location.hash = hash);
    kept = hash;
    route();
  }

  neurogloss.showTip = (x, y, lines, below) => {
    tip.replaceChildren(...lines.map((text, i) => el(i ? "div" : "strong", {}, text)));
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    const left = Math.max(6, Math.min(x - (below ? width / 2 : -12), innerWidth - width - 6));
    const top = y + 12 + height > innerHeight ? y - height - (below ? 28 : 12) : y + (below ? 6 : 12);
    tip.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  };
  neurogloss.hideTip = () => (tip.hidden = true);

  // The address, without a new entry in the history and without showing the page again.
  neurogloss.replaceHash = (hash) => {
    if (hash === address()) return;
    if (framed) return (kept = shown = hash);
    try {
      history.replaceState(null, "", hash);
    } catch {
      return; // a sandboxed report may not
    }
    shown = hash;
  };
  neurogloss.framed = framed;

  function theme() {
    const remembered = (value) => {
      try {
        return value === undefined ? localStorage.getItem("neurogloss.theme") : localStorage.setItem("neurogloss.theme", value);
      } catch {
        return null; // storage is off
      }
    };
    const dark = () => (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
    const asked = remembered();
    if (asked === "dark" || asked === "light") document.documentElement.dataset.theme = asked;
    const button = el("button", { type: "button", class: "icon", onclick: () => ((document.documentElement.dataset.theme = dark() ? "light" : "dark"), remembered(document.documentElement.dataset.theme), label()) });
    const label = () => {
      button.textContent = dark() ? "☀" : "☾";
      button.setAttribute("aria-label", dark() ? "Light colours" : "Dark colours");
    };
    label();
    return button;
  }

  function bar() {
    const jump = el("input", { type: "text", "aria-label": `Go to ${store.about.unit.one}`, placeholder: store.name(0), id: "jump", title: `Go to a ${store.about.unit.one} (/)`, size: "10", maxlength: "40", autocomplete: "off", spellcheck: "false", onkeydown: (event) => jumped(event) });
    // No form: a sandboxed report may not submit one.
    const jumped = (event) => {
      if (event.key !== "Enter") return;
      if (jump.value.trim()) go(`#/neuron/${encodeURIComponent(jump.value.trim())}`);
      jump.value = "";
    };
    document.getElementById("bar").replaceChildren(
      el("a", { class: "brand", href: "#/" }, el("span", { class: "mark", "aria-hidden": "true" }), "neurogloss"),
      el("nav", { "aria-label": "Pages" }, el("a", { href: "#/", "data-page": "" }, store.capital(store.about.unit.many)), store.about.mode === "view" ? el("a", { href: "#/text", "data-page": "text" }, "Text") : null),
      el("div", { class: "jump" }, jump),
      el("button", { type: "button", class: "icon help", "aria-label": "Keys", title: "Keys (?)", onclick: help }, "?"),
      theme(),
    );
  }

  async function route() {
    const turn = ++wanted;
    const hash = address();
    if (hash === shown) return;
    const [path, query] = hash.slice(1).split("?");
    const [, kind, rest] = path.split("/");
    shown = hash;
    neurogloss.hideTip();
    document.querySelectorAll("#bar nav a").forEach((link) => (link.dataset.page === (kind === "neuron" ? "" : kind) ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current")));
    try {
      let title;
      if (kind === "neuron") title = await neurogloss.neuron(main, unescaped(rest ?? ""), () => turn === wanted);
      else if (kind === "text" && neurogloss.text) title = await neurogloss.text(main, new URLSearchParams(query));
      else title = await neurogloss.overview(main, new URLSearchParams(query));
      if (turn !== wanted || title === null) return;
      document.title = `${title} · neurogloss`;
      document.body.dataset.page = kind || "overview";
      scrollTo(0, 0);
      if (turn > 1) (say(title), main.focus({ preventScroll: true }));
    } catch (error) {
      if (turn === wanted) failed(error);
    }
  }

  function unescaped(text) {
    try {
      return decodeURIComponent(text);
    } catch {
      return text;
    }
  }

  function failed(error) {
    main.replaceChildren(el("h1", {}, "This page cannot be shown"), el("p", { class: "notice", role: "alert" }, foreign(error.message)));
    document.body.dataset.page = "failed";
    shown = null;
  }

  // The keys there are, in a window that Escape closes.
  function help() {
    const open = document.querySelector("dialog");
    if (open) return open.close();
    const { one } = store.about.unit;
    const keys = [["/", `search, or go to a ${one}`], ["← →", `${one} before, after`], ["shift ↑ ↓", "layer before, after"], ["← →", "in an excerpt that has the focus: its tokens and their values"], ["?", "these keys"]];
    const close = el("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Close");
    const dialog = el("dialog", { "aria-labelledby": "keys", onclose: () => dialog.remove() }, el("h2", { id: "keys" }, "Keys"), el("dl", { class: "keys" }, keys.map(([key, text]) => el("div", {}, el("dt", {}, el("kbd", {}, key)), el("dd", {}, text)))), close);
    document.body.append(dialog);
    dialog.showModal();
  }

  function search() {
    const field = document.getElementById("by-q") ?? document.getElementById("jump");
    field.scrollIntoView({ block: "center" });
    field.focus();
    field.select();
  }

  // Left and right: unit; with shift, up and down: layer. Plain up and down scroll.
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest?.("input, select, textarea, [contenteditable]")) return;
    const named = { "/": search, "?": help }[event.key];
    if (named && store.about) {
      event.preventDefault();
      return named();
    }
    if (document.querySelector("dialog")) return;
    const place = placed();
    const page = place ? store.page(place.layer, place.neuron) : -1;
    if (page < 0) return;
    const steps = event.shiftKey ? { ArrowUp: () => store.beside(page, -1), ArrowDown: () => store.beside(page, 1) } : { ArrowLeft: () => page - 1, ArrowRight: () => page + 1 };
    const to = steps[event.key]?.() ?? -1;
    if (to < 0 || to >= store.about.pages) return;
    event.preventDefault();
    go(store.href(to));
  });
  document.addEventListener("click", (event) => {
    const link = framed && event.target.closest?.("a[href^='#/']");
    if (!link) return;
    event.preventDefault();
    go(link.getAttribute("href"));
  });

  async function start() {
    try {
      await store.open();
      bar();
      addEventListener("hashchange", route);
      await route();
    } catch (error) {
      failed(error);
    }
    document.body.dataset.ready = "yes";
  }
  start();
}
