"use strict";
// Sounds on a page: a player that keeps its position, WAV files, and spectrograms with axes.

function nearest(depths, depth) {
  return depths.reduce((a, b) => (Math.abs(b - depth) < Math.abs(a - depth) ? b : a));
}

// The axes of a spectrogram: ticks at round numbers.
function axes(box, seconds, hertz) {
  marks(box.querySelector(".khz"), hertz / 1000, "kHz", "bottom");
  marks(box.querySelector(".seconds"), seconds, "s", "left");
}
function marks(axis, end, unit, side) {
  const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100].find((size) => end / size <= 5) || end;
  const count = Math.floor(end / step + 1e-9) + 1;
  axis.replaceChildren(...Array.from({ length: count }, (_, k) => {
    const mark = document.createElement("span");
    mark.textContent = `${Number((k * step).toFixed(1))}${k === count - 1 ? ` ${unit}` : ""}`;
    mark.style[side] = `${(100 * k * step) / end}%`;
    return mark;
  }));
}

function play(audio, blob) {
  const [time, playing] = [audio.currentTime, !audio.paused];
  URL.revokeObjectURL(audio.src);
  audio.src = URL.createObjectURL(blob);
  audio.addEventListener("loadedmetadata", () => { audio.currentTime = time % audio.duration; }, { once: true });
  if (playing) audio.play().catch(() => {}); // rejected if another sound follows at once
}
function wave(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, letters) => [...letters].forEach((letter, k) => view.setUint8(at + k, letter.charCodeAt(0)));
  text(0, "RIFF"), view.setUint32(4, 36 + 2 * samples.length, true), text(8, "WAVEfmt ");
  view.setUint32(16, 16, true), view.setUint16(20, 1, true), view.setUint16(22, 1, true); // PCM, mono
  view.setUint32(24, rate, true), view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true), view.setUint16(34, 16, true);
  text(36, "data"), view.setUint32(40, 2 * samples.length, true);
  samples.forEach((x, k) => view.setInt16(44 + 2 * k, Math.max(-32768, Math.min(32767, Math.round(32768 * x))), true));
  return new Blob([view], { type: "audio/wav" });
}

// --- spectrogram: Hann windows of 256 samples, 64 apart (32 and 8 ms at 8 kHz), 70 dB deep ------
const SIZE = 256, HOP = 64, RANGE_DB = 70;
const COLOURS = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];
function spectrogram(samples, canvas) {
  const frames = Math.max(1, Math.floor((samples.length - SIZE) / HOP) + 1), bins = SIZE / 2 + 1;
  const power = new Float32Array(frames * bins);
  for (let t = 0; t < frames; t++) power.set(powers(samples, t * HOP), t * bins);
  const top = 10 * Math.log10(power.reduce((a, b) => Math.max(a, b), 1e-12));
  canvas.width = frames;
  canvas.height = bins;
  const context = canvas.getContext("2d"), image = context.createImageData(frames, bins);
  for (let t = 0; t < frames; t++) for (let k = 0; k < bins; k++) {
    const level = 1 + (10 * Math.log10(power[t * bins + k] + 1e-12) - top) / RANGE_DB;
    image.data.set(colour(Math.max(0, level)), 4 * ((bins - 1 - k) * frames + t));
  }
  context.putImageData(image, 0, 0);
}
function colour(level) {
  const at = Math.min(level, 0.9999) * (COLOURS.length - 1), from = Math.floor(at);
  const mix = [0, 1, 2].map((c) => COLOURS[from][c] + (at - from) * (COLOURS[from + 1][c] - COLOURS[from][c]));
  return [...mix, 255];
}
function powers(samples, start) {
  const re = new Float64Array(SIZE), im = new Float64Array(SIZE);
  for (let n = 0, bit, r = 0; n < SIZE; n++) {
    const window = 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / SIZE);
    re[r] = window * (samples[start + n] || 0);
    for (bit = SIZE >> 1; r & bit; bit >>= 1) r ^= bit; // next bit-reversed place
    r |= bit;
  }
  for (let size = 2; size <= SIZE; size *= 2) {
    for (let k = 0; k < size / 2; k++) {
      const c = Math.cos((-2 * Math.PI * k) / size), s = Math.sin((-2 * Math.PI * k) / size);
      for (let a = k; a < SIZE; a += size) {
        const b = a + size / 2, x = re[b] * c - im[b] * s, y = re[b] * s + im[b] * c;
        re[b] = re[a] - x; im[b] = im[a] - y; re[a] += x; im[a] += y;
      }
    }
  }
  return re.slice(0, SIZE / 2 + 1).map((x, k) => x * x + im[k] * im[k]);
}
