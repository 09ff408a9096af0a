// What a page can do beyond what a browser does by itself. Everything works without it but the three that it brings: the
// page looks again by itself, the palette, and charts that can be zoomed.
(() => {
  "use strict";
  const root = document.documentElement;
  root.dataset.script = "";
  const byId = (id) => document.getElementById(id);

  // Theme: as the system has it, until somebody says otherwise.
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const theme = () => root.dataset.theme || (dark.matches ? "dark" : "light");
  const toggle = byId("theme-toggle");
  const nameTheme = () => { toggle.textContent = theme() === "dark" ? "Light theme" : "Dark theme"; };
  toggle?.addEventListener("click", () => {
    root.dataset.theme = theme() === "dark" ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* It is forgotten with the page. */ }
    nameTheme();
    draw(true);
  });
  if (toggle) nameTheme();

  // Looking again: when something has happened, and now and then anyhow; never under somebody's hands.
  const AGAIN_MS = 15000, APART_MS = 3000;
  const pause = byId("refresh-toggle");
  let held = sessionStorage.getItem("paused") === "yes";
  let last = Date.now(), due = false, source = null;
  const namePause = () => {
    pause.setAttribute("aria-pressed", String(held));
    pause.textContent = held ? "Resume refresh" : "Pause refresh";
  };
  const busy = () => {
    const active = document.activeElement;
    const typing = active && active.closest("main") && active.matches("input, select, textarea");
    const filled = [...document.querySelectorAll("main input:not([type=hidden]), main textarea, main select")]
      .some((field) => field.type === "file" ? field.value !== "" :
        field.matches("select") ? [...field.options].some((option) => option.selected !== option.defaultSelected) &&
          field.selectedIndex > 0 : field.value !== field.defaultValue);
    const selected = String(getSelection()) !== "";
    return held || document.hidden || !document.hasFocus() || typing || filled || selected ||
      document.querySelector("dialog[open], main details[open]");
  };
  const refreshable = () => byId("view")?.dataset.refresh !== undefined;
  const look = () => {
    due = true;
    if (busy() || Date.now() - last < APART_MS) return;
    due = false;
    last = Date.now();
    htmx.ajax("GET", location.href, { target: "#view", select: "#view", swap: "outerMorph" });
  };
  const follow = () => {
    if (source || held || document.hidden || !refreshable()) return;
    source = new EventSource("/admin/live");
    source.addEventListener("changed", look);
  };
  const stop = () => { source?.close(); source = null; };
  if (pause && refreshable()) {
    namePause();
    pause.addEventListener("click", () => {
      held = !held;
      sessionStorage.setItem("paused", held ? "yes" : "no");
      namePause();
      if (held) { stop(); } else { follow(); look(); }
    });
    document.addEventListener("visibilitychange", () => document.hidden ? stop() : (follow(), look()));
    addEventListener("focus", () => { if (due) look(); });
    addEventListener("pagehide", stop);
    setInterval(() => { if (due || Date.now() - last > AGAIN_MS) look(); }, 1000);
    follow();
  } else {
    pause?.remove();
  }
  document.addEventListener("htmx:after:swap", () => draw(false));

  // Copying.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select it";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });

  // The palette: a view by a few letters of its name, or whatever search finds.
  const palette = byId("palette"), input = byId("palette-input"), list = byId("palette-list");
  if (palette) {
    const options = [...list.children];
    options.forEach((option, place) => { option.id = `palette-${place}`; });
    let at = 0;
    const shown = () => options.filter((option) => !option.hidden);
    const mark = () => {
      options.forEach((option) => option.setAttribute("aria-selected", "false"));
      const one = shown()[at];
      one?.setAttribute("aria-selected", "true");
      one?.scrollIntoView({ block: "nearest" });
      if (one) input.setAttribute("aria-activedescendant", one.id); else input.removeAttribute("aria-activedescendant");
    };
    const narrow = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      options.forEach((option) => {
        option.hidden = !words.every((word) => option.textContent.toLowerCase().includes(word));
      });
      at = 0;
      mark();
    };
    const open = () => { input.value = ""; narrow(); palette.showModal(); input.focus(); };
    const go = (path) => { palette.close(); location.assign(path); };
    byId("palette-open").addEventListener("click", open);
    document.addEventListener("keydown", (event) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        if (palette.open) palette.close(); else open();
      } else if (event.key === "/" && !event.target.closest("input, textarea, select, dialog")) {
        event.preventDefault();
        byId("search").focus();
      }
    });
    input.addEventListener("input", narrow);
    input.addEventListener("keydown", (event) => {
      const all = shown();
      if (event.key === "ArrowDown") at = Math.min(at + 1, all.length - 1);
      else if (event.key === "ArrowUp") at = Math.max(at - 1, 0);
      else if (event.key === "Enter") {
        event.preventDefault();
        if (all[at]) go(all[at].dataset.path);
        else if (input.value.trim()) go("/admin/search?q=" + encodeURIComponent(input.value.trim()));
        return;
      } else return;
      event.preventDefault();
      mark();
    });
    list.addEventListener("click", (event) => {
      const option = event.target.closest("[data-path]");
      if (option) go(option.dataset.path);
    });
  }

  // Charts.
  function draw(again) {
    for (const place of document.querySelectorAll("[data-chart]")) {
      if (!again && place.dataset.drawn === place.dataset.chart) continue;
      place.dataset.drawn = place.dataset.chart;
      place.replaceChildren();
      const chart = JSON.parse(place.dataset.chart);
      const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
      const strokes = [colour("--bar"), colour("--good"), colour("--attention")];
      const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
      new uPlot({
        width: Math.max(place.clientWidth - 16, 240), height: 240,
        cursor: { drag: { x: true, y: false } },
        scales: { y: { range: (_, low, high) => [0, Math.max(high, 1)] } },
        axes: [axis, { ...axis, size: 60 }],
        series: [{}, ...chart.series.map((one, place) => ({
          label: one.label, stroke: strokes[place], width: 2, dash: one.dashed ? [6, 4] : undefined, spanGaps: true,
        }))],
      }, [chart.times, ...chart.series.map((one) => one.points)], place);
    }
  }
  draw(false);
  let wide = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== wide) { wide = innerWidth; draw(true); } });
})();
