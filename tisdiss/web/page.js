// The page of `tisdiss demo`: takes a recording, follows its separation, plays each sound.
const ABOUT = JSON.parse(document.getElementById("about").textContent);
const at = (id) => document.getElementById(id);
const state = { made: null, signal: "mixture", depth: ABOUT.trained, name: "", sounds: new Map() };

at("limits").textContent = `Up to ${ABOUT.max_seconds} s and ${ABOUT.max_mib} MiB.`;
function say(text, wrong = false) {
  at("message").textContent = text;
  at("message").classList.toggle("wrong", wrong);
}

// --- a recording, from a file or the microphone -----------------------------------------------
async function send(blob, name, longest = Infinity) { // `longest`: in seconds; the rest is cut off
  if (blob.size > ABOUT.max_mib * 2 ** 20) return say(`${name} is larger than ${ABOUT.max_mib} MiB, the limit of the page`, true);
  say(`Reads ${name} …`);
  let content = await blob.arrayBuffer();
  try { // the browser decodes more formats than the server, which takes WAV
    const heard = await new OfflineAudioContext(1, 1, 48000).decodeAudioData(content.slice(0));
    if (!isSound(content)) content = await wave(mono(heard).subarray(0, longest * heard.sampleRate), heard.sampleRate).arrayBuffer();
  } catch { /* the server says what is wrong with it */ }
  const answer = await fetch("separations", { method: "POST", body: content }).catch(() => null);
  const made = answer && (await answer.json().catch(() => null));
  if (!made || made.error) return say(made ? made.error : "The server does not answer: is `tisdiss demo` still running?", true);
  Object.assign(state, { made, signal: "mixture", name, sounds: new Map() });
  at("title").textContent = name;
  at("note").textContent = made.note;
  at("note").hidden = !made.note;
  at("result").hidden = false;
  signals();
  show();
  follow(made.identity);
}
function isSound(content) { // formats that the server reads itself, without loss
  const head = String.fromCharCode(...new Uint8Array(content.slice(0, 4)));
  return ["RIFF", "fLaC", "OggS"].includes(head) && !String.fromCharCode(...new Uint8Array(content.slice(0, 64))).includes("Opus");
}
function mono(heard) {
  const sum = new Float32Array(heard.length);
  for (let c = 0; c < heard.numberOfChannels; c++) heard.getChannelData(c).forEach((x, k) => { sum[k] += x / heard.numberOfChannels; });
  return sum;
}
at("file").addEventListener("change", (event) => { const [file] = event.target.files; if (file) send(file, file.name); event.target.value = ""; });
for (const kind of ["dragenter", "dragover"]) at("drop").addEventListener(kind, (event) => { event.preventDefault(); at("drop").classList.add("over"); });
for (const kind of ["dragleave", "drop"]) at("drop").addEventListener(kind, () => at("drop").classList.remove("over"));
at("drop").addEventListener("drop", (event) => { event.preventDefault(); const [file] = event.dataTransfer.files; if (file) send(file, file.name); });

let recorder = null;
at("record").addEventListener("click", async () => {
  if (recorder) return recorder.stop();
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
    const parts = [];
    recorder = new MediaRecorder(stream);
    recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
    recorder.addEventListener("stop", () => {
      clearTimeout(limit);
      stream.getTracks().forEach((track) => track.stop());
      const type = recorder.mimeType;
      recorder = null;
      at("record").textContent = "Record";
      send(new Blob(parts, { type }), "recording", ABOUT.max_seconds); // stopped a moment too late
    });
    recorder.start();
    const limit = setTimeout(() => recorder.stop(), 1000 * ABOUT.max_seconds);
    at("record").textContent = "Stop";
    say("Records …");
  } catch (error) {
    say(`The microphone cannot be used: ${error.message}`, true);
  }
});

// --- the separation: depth after depth --------------------------------------------------------
async function follow(identity) {
  while (state.made && state.made.identity === identity) {
    const answer = await fetch(`separations/${identity}`).catch(() => null);
    const made = answer && (await answer.json().catch(() => null));
    if (!state.made || state.made.identity !== identity) return;
    if (!answer || !answer.ok || !made) return say((made && made.error) || "The server does not answer.", true);
    const before = state.made.ready.length;
    state.made = made;
    if (made.error) return say(made.error, true);
    if (made.ready.length > before) {
      if (!before) state.signal = "speaker1";
      signals();
      show();
    }
    if (made.ready.length === made.depths.length) return say("");
    say(`Separates … ${made.ready.length} of ${made.depths.length} depths are ready`);
    await new Promise((done) => setTimeout(done, 300));
  }
}
function signals() {
  const voices = state.made.ready.length ? Array.from({ length: ABOUT.speakers }, (_, k) => `speaker${k + 1}`) : [];
  at("signals").replaceChildren(...["mixture", ...voices].map((name) => {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.signal = name;
    button.textContent = name === "mixture" ? "mixture" : `voice ${name.slice(7)}`;
    button.setAttribute("aria-pressed", name === state.signal);
    button.addEventListener("click", () => { state.signal = name; signals(); show(); at("signals").querySelector(`[data-signal=${name}]`).focus(); });
    return button;
  }));
}
at("depth").addEventListener("input", () => { state.depth = state.made.ready[at("depth").value]; show(); });

// --- the sound that is selected ---------------------------------------------------------------
async function show() {
  const { made, signal } = state, ready = made.ready, slider = at("depth");
  const dialled = made.depths[0] > 0;
  at("dial").hidden = !dialled || !ready.length;
  const depth = ready.length ? nearest(ready, state.depth) : 0;
  slider.max = Math.max(0, ready.length - 1);
  slider.value = ready.indexOf(depth);
  slider.disabled = signal === "mixture" || ready.length < 2;
  slider.setAttribute("aria-valuetext", `${depth} ${depth === 1 ? "pass" : "passes"}`);
  at("dial").querySelector("output").textContent = depth;
  at("computed").textContent = ready.length && signal !== "mixture"
    ? `Computed in ${made.took[depth].toFixed(2)} s, ${(made.took[depth] / made.seconds).toFixed(2)} times the length of the recording (${made.seconds.toFixed(1)} s).`
    : `${made.seconds.toFixed(1)} s at ${made.rate} Hz.`;
  const path = signal === "mixture" ? "mixture.wav" : `re${depth}/${signal}.wav`;
  const wanted = `separations/${made.identity}/${path}`;
  at("result").dataset.wanted = wanted;
  if (!state.sounds.has(wanted)) {
    const answer = await fetch(wanted).catch(() => null);
    if (!answer || !answer.ok) return say("This recording is no longer kept: send it again.", true);
    state.sounds.set(wanted, await answer.arrayBuffer());
  }
  if (at("result").dataset.wanted !== wanted) return; // meanwhile another sound was selected
  const content = state.sounds.get(wanted);
  const name = `${state.name.replace(/\.[^.]*$/, "")}_${path.replace("/", "_")}`;
  const blob = new Blob([content], { type: "audio/wav" });
  play(document.querySelector("audio"), blob);
  at("save").download = name;
  at("save").href = document.querySelector("audio").src;
  const rate = Math.min(ABOUT.rate, made.rate); // what the model hears
  const samples = (await new OfflineAudioContext(1, 1, rate).decodeAudioData(content.slice(0))).getChannelData(0);
  if (at("result").dataset.wanted !== wanted) return;
  const canvas = document.querySelector("canvas");
  spectrogram(samples, canvas);
  axes(at("result"), samples.length / rate, rate / 2);
  canvas.setAttribute("aria-label", `spectrogram of ${path}, ${made.seconds.toFixed(1)} s, up to ${rate / 2000} kHz`);
  at("result").dataset.drawn = wanted;
}
