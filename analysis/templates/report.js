const DATA = JSON.parse(document.getElementById("data").textContent);

// --- tables: a click on a heading sorts by its column; the first click sorts numbers downwards --
function sortable(table) {
  const headings = [...table.tHead.rows].at(-1).querySelectorAll("th"); // the last row: no groups
  headings.forEach((heading, at) => {
    const button = document.createElement("button"); // for the keyboard and screen readers
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    const sort = () => {
      const down = heading.getAttribute("aria-sort") !== "descending" && at > 0;
      const body = table.tBodies[0];
      body.querySelectorAll(".rule").forEach((row) => row.remove()); // sorting mixes the groups
      const rows = [...body.rows].map((row) => [value(row.cells[at]), row]);
      rows.sort((a, b) => compare(a[0], b[0], down));
      rows.forEach(([, row]) => body.append(row));
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    };
    button.addEventListener("click", sort);
  });
}
function value(cell) {
  const number = parseFloat(cell.textContent.replace("−", "-"));
  return Number.isNaN(number) || cell.cellIndex === 0 ? cell.textContent : number;
}
function compare(a, b, down) {
  const numbers = [typeof a === "number", typeof b === "number"];
  if (numbers[0] !== numbers[1]) return numbers[0] ? -1 : 1; // missing numbers stay at the end
  const order = numbers[0] ? a - b : a.localeCompare(b);
  return down ? -order : order;
}

// --- cells: the provenance of a number, on hover, focus or tap ---------------------------------
const origin = document.getElementById("origin");
function show(cell) {
  const study = DATA.studies[cell.closest("table").dataset.study];
  const number = study.cells[cell.dataset.key];
  if (!number) return;
  origin.replaceChildren(list([
    ["cell", cell.dataset.key],
    ["mean", number.mean.toFixed(3) + " dB" + interval(number.interval)],
    ["over", `${number.n_mixtures} mixtures, ${number.n_speakers} speakers, ${number.runs.length} seed${number.runs.length > 1 ? "s" : ""}`],
    ["data", number.manifest.slice(0, 10)],
  ]), ...number.runs.flatMap((identity) => [document.createElement("hr"), run(identity, study)]));
  origin.hidden = false;
  cell.setAttribute("aria-describedby", "origin");
  const box = cell.getBoundingClientRect();
  const left = Math.min(box.left, document.documentElement.clientWidth - origin.offsetWidth - 8);
  origin.style.left = `${Math.max(8, left) + scrollX}px`;
  origin.style.top = `${box.bottom + 4 + scrollY}px`;
}
function interval([low, high]) {
  return low === null ? "" : ` [${low.toFixed(2)}, ${high.toFixed(2)}]`;
}
function run(identity, study) {
  const about = study.runs[identity];
  const settings = Object.entries(about.settings).map(([k, v]) => `${k} = ${JSON.stringify(v)}`);
  return list([
    ["run", `${identity.slice(0, 10)}, seed ${about.seed}, ${about.name}`],
    ["config", settings.join("; ") || "the same in all runs"],
    ["test set", (about.test_manifest || "").slice(0, 10)],
    ["origin", about.origin],
    ["code", (about.code_hash || "").slice(0, 10)],
  ]);
}
function list(pairs) {
  const definitions = document.createElement("dl");
  for (const [name, text] of pairs) {
    const [term, value] = [document.createElement("dt"), document.createElement("dd")];
    term.textContent = name;
    value.textContent = text;
    definitions.append(term, value);
  }
  return definitions;
}
document.querySelectorAll("td[data-key]").forEach((cell) => {
  for (const event of ["mouseenter", "focus", "click"]) cell.addEventListener(event, () => show(cell));
  for (const event of ["mouseleave", "blur"]) cell.addEventListener(event, () => { origin.hidden = true; });
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape") origin.hidden = true; });

// --- sounds: one player per study; a move of the slider keeps the position in the sound ---------
function player(box) {
  const study = DATA.studies[box.dataset.study];
  const [audio, canvas, slider] = ["audio", "canvas", "input"].map((name) => box.querySelector(name));
  const variant = box.querySelector("select");
  const state = { row: 0, mixture: 0, depth: study.heard[0][0].depths[0], signal: "est1" };
  const heardNow = () => study.heard[state.row][state.mixture];
  const update = () => {
    const heard = heardNow(), depths = heard.depths;
    const depth = nearest(depths, state.depth);
    slider.max = depths.length - 1;
    slider.value = depths.indexOf(depth);
    slider.disabled = !state.signal.startsWith("est") || depths.length < 2;
    box.querySelector("output").textContent = depth || "–"; // 0: a model without N_re
    slider.setAttribute("aria-valuetext", `${depth} ${depth === 1 ? "pass" : "passes"}`);
    const score = heard.scores[depth].map((dB, at) => `${heard.speakers[at]} ${dB === null ? "undefined" : dB.toFixed(1) + " dB"}`);
    const at = depth ? ` at N_re = ${depth}` : "";
    box.querySelector(".heard").textContent = `${heard.mixture}: ${study.metric}${at}: ${score.join(", ")}`;
    box.querySelectorAll("button[data-mixture]").forEach((button, k) => {
      const mixture = study.heard[state.row][k];
      button.hidden = !mixture;
      if (mixture) button.textContent = mixture.title;
      button.setAttribute("aria-pressed", k === state.mixture);
    });
    const name = state.signal.startsWith("est") ? `re${depth}_${state.signal}` : state.signal;
    box.dataset.sound = name;
    const key = heard.sounds[name];
    box.dataset.wanted = key;
    samplesOf(DATA.sounds[key], heard.rate).then((samples) => {
      if (box.dataset.wanted !== key) return; // meanwhile another sound was selected
      play(audio, wave(samples, heard.rate));
      spectrogram(samples, canvas);
      axes(box, samples.length / heard.rate, heard.rate / 2);
      canvas.setAttribute("aria-label", `spectrogram of ${name}, ${(samples.length / heard.rate).toFixed(1)} s, up to ${heard.rate / 2000} kHz`);
      box.dataset.drawn = name;
    });
  };
  variant.addEventListener("change", () => {
    const before = heardNow().mixture;
    state.row = Number(variant.value);
    state.mixture = Math.max(0, study.heard[state.row].findIndex((heard) => heard.mixture === before));
    update();
  });
  for (const key of ["mixture", "signal"]) {
    const buttons = box.querySelectorAll(`button[data-${key}]`);
    buttons.forEach((button) => button.addEventListener("click", () => {
      buttons.forEach((other) => other.setAttribute("aria-pressed", other === button));
      state[key] = key === "mixture" ? Number(button.dataset.mixture) : button.dataset.signal;
      update();
    }));
  }
  slider.addEventListener("input", () => {
    state.depth = heardNow().depths[slider.value];
    update();
  });
  update();
}

// Sounds are decoded here and played as WAV, because browsers cannot seek in every FLAC file.
async function samplesOf(base64, rate) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return (await new OfflineAudioContext(1, 1, rate).decodeAudioData(bytes.buffer)).getChannelData(0);
}

document.querySelectorAll("table.sortable").forEach(sortable);
document.querySelectorAll(".player").forEach(player);
