// The viewer's own page elements: markup, icons, layer switches, timeline. Holds no result and no clock.

const ICONS = {
  play: 'M7 4.5v15l12.5-7.5z',
  pause: 'M6.5 4.5h4v15h-4zM13.5 4.5h4v15h-4z',
  back: 'M17.5 5v14L8 12zM5.5 5h2v14h-2z',
  next: 'M6.5 5v14L16 12zM16.5 5h2v14h-2z',
  layers: 'M12 3 2.5 8 12 13l9.5-5zM4.8 11.4 2.5 12.6 12 17.6l9.5-5-2.3-1.2-7.2 3.8zM4.8 15.6l-2.3 1.2L12 21.8l9.5-5-2.3-1.2-7.2 3.8z',
  photo: 'M9 4 7.4 6H3.5v13.5h17V6h-3.9L15 4zm3 4.3a4.3 4.3 0 1 1 0 8.6 4.3 4.3 0 0 1 0-8.6zm0 2a2.3 2.3 0 1 0 0 4.6 2.3 2.3 0 0 0 0-4.6z',
  look: 'M8.5 3.5 3 6.5l1.8 4.3 2.2-.8v10.5h10V10l2.2.8L21 6.5l-5.5-3a3.6 3.6 0 0 1-7 0z',
  place: 'M3 17.5 9 7l4 6.5 2.5-4L21 17.5zM17 4.5a2 2 0 1 1 0 4 2 2 0 0 1 0-4z',
  full: 'M4 9.5V4h5.5v2H6v3.5zM14.5 4H20v5.5h-2V6h-3.5zM6 14.5V18h3.5v2H4v-5.5zM18 14.5h2V20h-5.5v-2H18z',
  clip: 'M3 5h18v14H3zm2 2v10h14V7zm5 2 5.5 3-5.5 3z',
  close: 'M6.4 5 12 10.6 17.6 5 19 6.4 13.4 12l5.6 5.6-1.4 1.4-5.6-5.6L6.4 19 5 17.6l5.6-5.6L5 6.4z',
  home: 'M12 3.5 3 11h2.5v8.5h5v-6h3v6h5V11H21z',
};

export const icon = (name) => `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${ICONS[name]}"/></svg>`;

const button = (name, label, key) =>
  `<button type="button" class="jv-icon" data-do="${name}" aria-label="${label}" title="${label}${key ? ` (${key})` : ''}">${icon(name)}</button>`;

const MARKUP = `
<div class="jv-main" data-clip="inset">
  <figure class="jv-clip"><video muted playsinline loop preload="auto" aria-label="Source clip"></video>${button('close', 'Hide the clip')}</figure>
  <div class="jv-stage">
    <canvas tabindex="0" aria-label="3D view of the people and the place: drag to turn, pinch to zoom, or click and use the wheel"></canvas>
    <div class="jv-top">
      <div class="jv-about"><div class="jv-modes jv-group" role="radiogroup" aria-label="Method"></div><p class="jv-facts" aria-live="polite"></p></div>
      <div class="jv-tools">${button('home', 'Reset the view', 'R')}${button('clip', 'Place of the source clip', 'V')}${button('layers', 'Layers', 'L')}${button('look', 'Own look or plain', 'B')}${button('place', 'Place as surface or points', 'M')}${button('photo', 'Save a picture', 'P')}${button('full', 'Full screen', 'F')}</div>
    </div>
    <label class="jv-opacity" hidden>Bodies<input type="range" min="0" max="100" value="60" aria-label="Opacity of the bodies over the clip, in percent"></label>
    <p class="jv-note" role="status"></p>
  </div>
</div>
<div class="jv-layers" hidden role="group" aria-label="Layers"></div>
<div class="jv-bar">
  <div class="jv-buttons">${button('back', 'One frame back', '←')}${button('play', 'Play', 'space')}${button('next', 'One frame on', '→')}</div>
  <div class="jv-track"><svg class="jv-runs" preserveAspectRatio="none" aria-hidden="true"></svg><input class="jv-time" type="range" min="0" max="0" value="0" step="1" aria-label="Time"></div>
  <output class="jv-clock"></output>
  <select class="jv-rate" aria-label="Speed" title="Speed"><option value="0.25">¼×</option><option value="0.5">½×</option><option value="1" selected>1×</option><option value="2">2×</option></select>
  <div class="jv-views jv-group" role="radiogroup" aria-label="View"></div>
</div>`;

export class Panel {
  constructor(host) {
    host.classList.add('jv');
    host.innerHTML = MARKUP;
    this.host = host;
    const one = (selector) => host.querySelector(selector);
    this.main = one('.jv-main');
    this.stage = one('.jv-stage');
    this.canvas = one('canvas');
    this.video = one('video');
    this.note = one('.jv-note');
    this.opacity = one('.jv-opacity');
    this.opacitySlider = one('.jv-opacity input');
    this.time = one('.jv-time');
    this.clock = one('.jv-clock');
    this.rate = one('.jv-rate');
    this.layers = one('.jv-layers');
    this.runs = one('.jv-runs');
    this.modes = one('.jv-modes');
    this.facts = one('.jv-facts');
    this.views = one('.jv-views');
  }

  action(name) {
    return this.host.querySelector(`[data-do="${name}"]`);
  }

  say(text) {
    this.note.textContent = text;
  }

  /** What was measured in the mode on show, one short phrase each. */
  setFacts(facts) {
    this.facts.replaceChildren(
      ...facts.map((fact) => {
        const item = document.createElement('span');
        item.textContent = fact;
        return item;
      }),
    );
  }

  setPlaying(playing) {
    const play = this.action('play');
    play.innerHTML = icon(playing ? 'pause' : 'play');
    play.setAttribute('aria-label', playing ? 'Pause' : 'Play');
    play.title = playing ? 'Pause (space)' : 'Play (space)';
  }

  setTime(frame, frames, seconds) {
    this.time.value = frame;
    this.time.setAttribute('aria-valuetext', `${seconds.toFixed(2)} seconds, frame ${frame + 1} of ${frames}`);
    this.clock.innerHTML = `${seconds.toFixed(2)} s<i> · ${frame + 1}/${frames}</i>`;
  }

  /** Radio buttons in `group`: [{value, label, title, color}]. */
  setChoices(group, choices, chosen, onChoose) {
    group.replaceChildren(
      ...choices.map(({ value, label, title, color }) => {
        const item = document.createElement('button');
        item.type = 'button';
        item.setAttribute('role', 'radio');
        item.dataset.value = value;
        item.title = title ?? label;
        item.textContent = label;
        if (color) item.style.setProperty('--dot', color);
        item.classList.toggle('jv-dot', Boolean(color));
        if (color) item.setAttribute('aria-label', title);
        item.addEventListener('click', () => onChoose(value));
        return item;
      }),
    );
    group.hidden = choices.length < 2;
    this.mark(group, chosen);
  }

  mark(group, chosen) {
    for (const item of group.children) item.setAttribute('aria-checked', String(item.dataset.value === chosen));
  }

  /** Switches [{name, label, color}] and the size of the scene's points. */
  setLayers(layers, hidden, pointSize, on) {
    const rows = layers.map(({ name, label, color }) => {
      const row = document.createElement('label');
      const box = document.createElement('input');
      box.type = 'checkbox';
      box.dataset.layer = name;
      box.checked = !hidden.has(name);
      box.addEventListener('change', () => on.layer(name, box.checked));
      const dot = document.createElement('i');
      dot.style.background = color;
      row.append(box, dot, label);
      return row;
    });
    const size = document.createElement('label');
    size.innerHTML = '<span>Point size</span><input type="range" class="jv-size" min="4" max="80" aria-label="Point size in millimetres">';
    const slider = size.querySelector('input');
    slider.value = pointSize;
    slider.addEventListener('input', () => on.pointSize(Number(slider.value)));
    this.layers.replaceChildren(...rows, size);
  }

  /** Thin bars over the timeline: when each person is seen (pale) and touches something (strong). */
  setRuns(people, frames) {
    const height = 4;
    this.runs.setAttribute('viewBox', `0 0 ${frames} ${Math.max(1, people.length) * height}`);
    this.runs.style.height = `${Math.min(people.length * 4, 20)}px`;
    const bars = people.flatMap((person, k) => [
      ...spans(frames, (f) => person.rows[f] >= 0).map((span) => bar(span, k * height, person.color, 0.3)),
      ...spans(frames, (f) => touches(person, f)).map((span) => bar(span, k * height, person.color, 1)),
    ]);
    this.runs.innerHTML = bars.join('');
  }
}

function touches({ rows, contact }, frame) {
  const row = rows[frame];
  if (row < 0 || !contact.probability) return false;
  const width = contact.names.length;
  return contact.probability.subarray(row * width, (row + 1) * width).some((p) => p > 127);
}

function spans(frames, test) {
  const out = [];
  for (let f = 0; f < frames; f++) {
    if (!test(f)) continue;
    const last = out[out.length - 1];
    if (last && last[1] === f) last[1] = f + 1;
    else out.push([f, f + 1]);
  }
  return out;
}

function bar([from, to], y, color, opacity) {
  return `<rect x="${from}" y="${y + 0.5}" width="${to - from}" height="3" fill="${color}" opacity="${opacity}"/>`;
}
