// The viewer of a 4D result: ties result, stage, views, clock and panel together. `mount(host)` is the way in.
import { Clock } from './clock.js';
import { decodeState, encodeState } from './link.js';
import { clipTexture } from './looks.js';
import { Panel } from './panel.js';
import { Result } from './result.js';
import { Stage } from './stage.js';
import { Views } from './views.js';
import css from './viewer.css';

const CLIP_PLACES = ['inset', 'beside', 'hidden'];
const FIXED_LAYERS = [
  { name: 'look', label: 'Own look of the people', color: 'linear-gradient(90deg,#c98a6b,#5b7a4a)' },
  { name: 'scene', label: 'Place', color: '#9aa7b8' },
  { name: 'surface', label: 'Place as a surface', color: 'linear-gradient(90deg,#9aa7b8,#6d7c90)' },
  { name: 'camera', label: 'Camera', color: '#f5c518' },
  { name: 'paths', label: 'Paths', color: 'linear-gradient(90deg,#2f7ed8,#ee6c2f)' },
  { name: 'contacts', label: 'Contact points', color: '#ff3d71' },
  { name: 'grid', label: 'Floor grid, 1 m', color: '#66758c' },
  { name: 'clip', label: 'Clip behind camera view', color: '#c9a227' },
  { name: 'over', label: 'Place over the clip', color: '#9aa7b8' },
];

/** Build a viewer inside `host`, an empty element. Returns an object with show, state, link, picture and dispose. */
export function mount(host) {
  if (!document.getElementById('jv-style')) {
    const style = document.createElement('style');
    style.id = 'jv-style';
    style.textContent = css;
    document.head.append(style);
  }
  const panel = new Panel(host);
  try {
    return new Viewer(panel, new Stage(panel.canvas));
  } catch (error) {
    return new FlatViewer(panel, error);
  }
}

/** Without WebGL: the overlay video, which shows the bodies on the clip, and a sentence. */
class FlatViewer {
  constructor(panel, error) {
    this.panel = panel;
    this.error = error;
    this.ready = false;
    panel.host.classList.add('jv-flat');
  }

  async show(value) {
    const film = value?.overlay ?? value?.clip;
    const instead = value?.overlay ? 'Here is the result as a video instead.' : 'Here is the clip; the overlay video below shows the result.';
    this.panel.say(`This browser has no WebGL, so the 3D view cannot be drawn. ${instead}`);
    if (!film) return;
    this.panel.video.controls = true;
    this.panel.video.src = film.url;
    this.ready = true;
  }

  get link() {
    return '';
  }

  dispose() {
    this.panel.video.removeAttribute('src');
  }
}

/** Whether a value is the run on show with something new in it; the same run asked for again begins anew. */
function hasGrown(old, value) {
  const content = ({ modes, overlay }) => JSON.stringify([modes, overlay]);
  return old?.id === value.id && content(old) !== content(value);
}

class Viewer {
  constructor(panel, stage) {
    this.panel = panel;
    this.stage = stage;
    this.views = new Views(panel.canvas, () => this.redraw());
    this.clock = new Clock((playing) => this.panel.setPlaying(playing));
    this.value = null;
    this.mode = '';
    this.result = null;
    this.results = new Map(); // by url, of the run on show, so that switching back and forth is instant
    this.hidden = new Set(['over']);
    this.pointSize = 20; // mm
    this.bodyOpacity = 0.6; // of the bodies over the clip, through the camera
    this.token = 0; // only the newest of several loads under way may touch the scene
    this.shownFrame = -1;
    this.dirty = true;
    this.onScreen = true;
    this.ready = false;
    this.stops = [];
    this.connect();
    this.request = requestAnimationFrame((now) => this.tick(now));
  }

  // ---- loading -------------------------------------------------------------------------------------------------

  /** Show a run: {id, title, clip, overlay, modes: [{name, label, title, facts, glb}], mode, view}; null empties the viewer. */
  async show(value) {
    if (this.result && value?.modes?.length && hasGrown(this.value, value)) return this.grow(value);
    const token = ++this.token;
    this.ready = false;
    this.clear();
    this.value = value;
    if (!value?.modes?.length) return this.panel.say(value?.message ?? '');
    const wanted = decodeState(value.view ?? {});
    this.hidden = new Set(wanted.hidden ?? ['over']);
    const names = value.modes.map((mode) => mode.name);
    this.mode = names.includes(wanted.mode) ? wanted.mode : (value.mode ?? names[names.length - 1]);
    this.setClip(value.clip);
    this.offerModes();
    const result = await this.fetch(this.mode, token);
    if (!result) return;
    this.pointSize = wanted.pointSize ?? result.closePointSize();
    this.put(result);
    this.views.frame(result, this.aspect);
    if (wanted.view) this.views.restore(wanted.view, result);
    this.markView();
    if (wanted.time !== undefined) this.clock.seekTime(wanted.time);
    this.ready = true;
    if (wanted.time === undefined && !this.views.calm) this.open();
  }

  offerModes() {
    const choices = this.value.modes.map(({ name, label, title }) => ({ value: name, label, title }));
    this.panel.setChoices(this.panel.modes, choices, this.mode, (name) => this.setMode(name));
  }

  /** The run on show has more modes now: time and viewpoint stay, and who looks at the best so far gets the new best. */
  async grow(value) {
    const best = this.value.mode === this.mode ? value.mode : this.mode;
    const wanted = decodeState(value.view ?? {});
    this.value = value;
    this.offerModes();
    await this.setMode(value.modes.some(({ name }) => name === wanted.mode) ? wanted.mode : best);
    if (wanted.view) this.views.restore(wanted.view, this.result);
    if (wanted.time !== undefined) this.clock.seekTime(wanted.time);
    this.markView();
  }

  /** First sight: the clip itself through the recovered camera, then out into the room. */
  open() {
    this.views.kind = 'camera';
    this.views.update(this.result, 0, this.aspect);
    this.views.choose('orbit', this.result);
    this.views.flight.start += 700; // let the eye rest on the clip first
    this.clock.play();
  }

  async fetch(name, token) {
    const mode = this.value.modes.find((m) => m.name === name);
    const url = mode.glb.url;
    if (this.results.has(url)) return this.results.get(url);
    const report = (done, total) => {
      if (token === this.token) this.panel.say(`Loading ${megabytes(done)}${total ? ` of ${megabytes(total)}` : ''}`);
    };
    let result;
    try {
      result = await Result.load(url, report);
    } catch {
      if (token === this.token) this.panel.say('This result could not be loaded; it may have expired. Reload the page.');
      return null;
    }
    if (token !== this.token) {
      result.dispose();
      return null;
    }
    this.panel.say('');
    this.results.set(url, result);
    result.showClip(this.texture);
    return result;
  }

  /** Make `result` the one on stage; time and viewpoint stay. */
  put(result) {
    this.panel.setFacts(this.value.modes.find((mode) => mode.name === this.mode).facts ?? []);
    this.result?.root.removeFromParent();
    this.result = result;
    this.stage.scene.add(result.root);
    this.clock.setTimes(result.times);
    this.panel.time.max = result.times.length - 1;
    this.panel.setRuns(result.people, result.times.length);
    this.panel.setLayers(this.layers, this.hidden, this.pointSize, {
      layer: (name, shown) => this.setLayer(name, shown),
      pointSize: (mm) => this.setPointSize(mm),
    });
    const follow = result.people.map((p, k) => ({ value: `follow${p.id}`, label: String(k + 1), title: `Follow person ${k + 1}`, color: p.color }));
    const views = [
      { value: 'orbit', label: 'Free', title: 'Free view (O)' },
      { value: 'camera', label: 'Through camera', title: 'Through the recovered camera, over the clip (C)' },
    ];
    this.panel.setChoices(this.panel.views, [...views, ...follow], this.views.kind, (kind) => this.setView(kind));
    this.panel.action('look').hidden = !result.hasLooks;
    this.panel.action('place').hidden = !result.surface;
    this.setPointSize(this.pointSize);
    this.pose();
  }

  async setMode(name) {
    if (name === this.mode && this.result) return;
    const token = ++this.token;
    this.mode = name;
    this.panel.mark(this.panel.modes, name);
    const result = await this.fetch(name, token);
    if (!result) return;
    const followed = this.views.kind;
    this.put(result);
    if (followed.startsWith('follow')) this.views.choose(followed, result, true);
    this.ready = true;
  }

  setClip(clip) {
    const { video } = this.panel;
    this.clock.setVideo(null);
    this.texture?.dispose();
    this.texture = null;
    this.panel.main.classList.toggle('jv-noclip', !clip);
    if (!clip) return void video.removeAttribute('src');
    video.src = clip.url;
    this.clock.setVideo(video);
    this.texture = clipTexture(video);
  }

  clear() {
    this.clock.pause();
    this.clock.time = 0;
    this.shownFrame = -1;
    for (const result of this.results.values()) result.dispose();
    this.results.clear();
    this.result?.root.removeFromParent();
    this.result = null;
    this.setClip(null);
    this.views.choose('orbit', null, true);
    this.panel.modes.replaceChildren();
    this.panel.setFacts([]);
    this.panel.views.replaceChildren();
    this.panel.runs.replaceChildren();
    this.panel.layers.hidden = true;
    this.stage.render(this.views.camera, null); // what was on show is gone from the canvas too
  }

  // ---- what is shown -------------------------------------------------------------------------------------------

  get layers() {
    const people = this.result.people.map((p, k) => ({ name: p.layer, label: `Person ${k + 1}`, color: p.color }));
    const missing = { look: !this.result.hasLooks, surface: !this.result.surface };
    return [...people, ...FIXED_LAYERS.filter(({ name }) => !missing[name])];
  }

  setLayer(name, shown) {
    if (shown) this.hidden.delete(name);
    else this.hidden.add(name);
    const box = this.panel.layers.querySelector(`[data-layer="${name}"]`);
    if (box) box.checked = shown;
    this.redraw();
  }

  setPointSize(mm) {
    this.pointSize = mm;
    for (const result of this.results.values()) {
      if (result.points) result.points.material.uniforms.size.value = mm / 1000;
    }
    this.redraw();
  }

  setView(kind) {
    this.views.choose(kind, this.result);
    this.markView();
    this.redraw();
  }

  resetView() {
    this.views.choose('orbit', this.result);
    this.views.frame(this.result, this.aspect);
    this.markView();
    this.redraw();
  }

  markView() {
    this.panel.mark(this.panel.views, this.views.kind);
    this.panel.host.dataset.view = this.views.kind;
    this.panel.opacity.hidden = !this.views.throughCamera;
  }

  /** Apply the layer switches; looking through the camera, its own drawing is out of the way. */
  applyLayers() {
    const { result, views } = this;
    const on = (name) => !this.hidden.has(name);
    const inside = views.throughCamera;
    const overClip = inside && on('clip');
    this.panel.action('look').setAttribute('aria-pressed', String(on('look')));
    this.panel.action('look').disabled = overClip;
    this.panel.action('place').setAttribute('aria-pressed', String(on('surface')));
    const place = on('scene') && (!inside || on('over'));
    const closed = result.surface && on('surface');
    if (result.surface) result.surface.visible = place && closed;
    if (result.points) result.points.visible = place && (!closed || result.onlyFloor);
    for (const person of result.people) {
      person.mesh.visible = on(person.layer);
      person.markers.visible = on(person.layer) && on('contacts');
      person.wear(on('look') && !overClip); // bodies must stand out from the people under them
      setOpacity(person.mesh.material, overClip ? this.bodyOpacity : 1);
    }
    for (const path of result.paths) path.group.visible = on('paths') && (!inside || Boolean(path.person));
    if (result.frustum) result.frustum.visible = on('camera') && !inside;
    if (result.imagePlane) result.imagePlane.visible = on('camera') && !inside;
    if (result.backdrop) result.backdrop.visible = overClip;
    if (result.backdrop) result.backdrop.material.opacity = views.arrival;
    this.stage.grid.visible = on('grid');
    for (const patch of result.supports) patch.visible = on('grid');
  }

  pose() {
    if (!this.result) return;
    const { frame, time, times } = this.clock;
    this.result.setTime(time, frame);
    const seen = this.result.people.map((p) => this.result.pelvis(p, frame)).filter(Boolean);
    if (seen.length) this.stage.lookAfter((this.views.followed && this.result.pelvis(this.views.followed, frame)) || seen[0]);
    this.panel.setTime(frame, times.length, times[frame]);
    this.posedTime = time;
    this.redraw();
  }

  redraw() {
    this.dirty = true;
  }

  get aspect() {
    const { clientWidth, clientHeight } = this.panel.canvas;
    return clientWidth && clientHeight ? clientWidth / clientHeight : 16 / 9;
  }

  tick(now) {
    this.request = requestAnimationFrame((next) => this.tick(next));
    const gap = now - (this.lastTick ?? now);
    this.lastTick = now;
    if (!this.result || !this.onScreen) return;
    const time = this.clock.tick(now, this.views.throughCamera);
    if (time !== this.posedTime) this.pose();
    if (this.clock.playing) this.stage.keepUp(gap);
    const moving = this.views.update(this.result, this.clock.frame, this.aspect);
    if (this.dirty || moving) this.draw();
  }

  draw() {
    this.dirty = false;
    this.applyLayers();
    this.stage.render(this.views.camera, this.result);
    this.draws = (this.draws ?? 0) + 1;
  }

  // ---- state, link, picture ------------------------------------------------------------------------------------

  get state() {
    return {
      time: this.clock.times[this.clock.frame],
      mode: this.mode,
      view: this.views.state,
      hidden: [...this.hidden],
      pointSize: this.pointSize,
    };
  }

  /** The view as a query string for a link. */
  get link() {
    return this.result ? encodeState(this.state) : '';
  }

  /** What is on the canvas now as a PNG data URL; `ground` is a CSS colour to lay under it, or null. */
  picture(ground = null) {
    this.views.update(this.result, this.clock.frame, this.aspect);
    this.draw();
    const { canvas } = this.panel;
    const copy = document.createElement('canvas');
    copy.width = canvas.width;
    copy.height = canvas.height;
    const brush = copy.getContext('2d');
    if (ground) {
      brush.fillStyle = ground;
      brush.fillRect(0, 0, copy.width, copy.height);
    }
    brush.drawImage(canvas, 0, 0);
    return copy.toDataURL('image/png');
  }

  savePicture() {
    if (!this.result) return;
    const a = document.createElement('a');
    a.href = this.picture(getComputedStyle(this.panel.stage).getPropertyValue('--jv-ground').trim());
    a.download = `${this.value.id ?? 'view'}_${this.mode}_${String(this.clock.frame).padStart(4, '0')}.png`;
    a.click();
  }

  // ---- input ---------------------------------------------------------------------------------------------------

  connect() {
    const { panel, clock } = this;
    const actions = {
      play: () => (clock.playing ? clock.pause() : clock.play()),
      back: () => this.step(-1),
      next: () => this.step(1),
      home: () => this.result && this.resetView(),
      layers: () => this.toggleLayers(),
      photo: () => this.savePicture(),
      full: () => this.toggleFull(),
      look: () => this.toggleLook(),
      place: () => this.togglePlace(),
      clip: () => this.nextClipPlace(),
      close: () => this.placeClip('hidden'),
    };
    for (const [name, act] of Object.entries(actions)) panel.action(name).addEventListener('click', act);
    this.keys = {
      ' ': actions.play, k: actions.play, ArrowLeft: actions.back, ArrowRight: actions.next,
      Home: () => this.goTo(0), End: () => this.goTo(clock.times.length - 1),
      o: () => this.setView('orbit'), c: () => this.setView('camera'), r: actions.home,
      l: actions.layers, b: actions.look, m: actions.place, p: actions.photo, f: actions.full, v: actions.clip,
      Escape: () => document.activeElement.blur(),
    };
    panel.time.addEventListener('input', () => this.goTo(Number(panel.time.value)));
    panel.opacitySlider.addEventListener('input', () => {
      this.bodyOpacity = Number(panel.opacitySlider.value) / 100;
      this.redraw();
    });
    panel.rate.addEventListener('change', () => clock.setRate(Number(panel.rate.value)));
    this.listen(panel.host, 'keydown', (event) => this.key(event));
    this.listen(panel.host, 'wheel', (event) => this.hasFocus || event.stopPropagation(), { capture: true });
    this.listen(panel.video, 'click', actions.play);
    this.listen(panel.video, 'seeked', () => this.redraw());
    this.listen(panel.video, 'loadeddata', () => this.redraw());
    this.listen(panel.video, 'error', () => panel.video.src && panel.main.classList.add('jv-noclip'));
    this.listen(panel.canvas, 'webglcontextlost', (event) => {
      event.preventDefault();
      panel.say('The graphics card dropped this view; it comes back by itself, or after reloading the page.');
    });
    this.listen(panel.canvas, 'webglcontextrestored', () => {
      panel.say('');
      this.redraw();
    });
    this.observe();
  }

  listen(target, name, action, options) {
    target.addEventListener(name, action, options);
    this.stops.push(() => target.removeEventListener(name, action, options));
  }

  /** Whether the wheel is meant for the viewer: until somebody has clicked into it, it scrolls the page. */
  get hasFocus() {
    const { host } = this.panel;
    return host.contains(document.activeElement) || host === document.fullscreenElement || host.classList.contains('jv-fill');
  }

  /** Follow changes of size, theme and visibility. */
  observe() {
    const size = new ResizeObserver(() => this.redraw());
    size.observe(this.panel.canvas);
    const sight = new IntersectionObserver(([entry]) => {
      this.onScreen = entry.isIntersecting;
    });
    sight.observe(this.panel.host);
    const theme = new MutationObserver(() => this.readTheme());
    theme.observe(document.body, { attributes: true, attributeFilter: ['class'] });
    this.stops.push(() => size.disconnect(), () => sight.disconnect(), () => theme.disconnect());
    this.readTheme();
  }

  readTheme() {
    this.stage.setTheme(Boolean(document.querySelector('.dark')));
    this.redraw();
  }

  key(event) {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    const act = this.keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    const pressing = event.target.tagName === 'BUTTON' && event.key === ' ';
    if (!act || typing || pressing || event.ctrlKey || event.metaKey || event.altKey || !this.result) return;
    event.preventDefault();
    act();
  }

  goTo(frame) {
    this.clock.pause();
    this.clock.seekFrame(frame);
    this.pose();
  }

  step(frames) {
    this.goTo(this.clock.frame + frames);
  }

  toggleLayers() {
    const { layers } = this.panel;
    layers.hidden = !layers.hidden;
    this.panel.action('layers').setAttribute('aria-expanded', String(!layers.hidden));
  }

  toggleLook() {
    if (this.result?.hasLooks) this.setLayer('look', this.hidden.has('look'));
  }

  togglePlace() {
    if (this.result?.surface) this.setLayer('surface', this.hidden.has('surface'));
  }

  nextClipPlace() {
    const next = (CLIP_PLACES.indexOf(this.panel.main.dataset.clip) + 1) % CLIP_PLACES.length;
    this.placeClip(CLIP_PLACES[next]);
  }

  placeClip(place) {
    this.panel.main.dataset.clip = place;
  }

  /** Full screen; where the browser offers none (phones), the viewer fills the page instead. */
  toggleFull() {
    const { host } = this.panel;
    if (document.fullscreenElement) return void document.exitFullscreen();
    if (host.requestFullscreen) return void host.requestFullscreen().catch(() => host.classList.toggle('jv-fill'));
    host.classList.toggle('jv-fill');
  }

  dispose() {
    this.token++;
    cancelAnimationFrame(this.request);
    for (const stop of this.stops) stop();
    this.clear();
    this.setClip(null);
    this.views.dispose();
    this.stage.dispose();
    this.panel.host.replaceChildren();
  }
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** A material's shader is made for opaque or transparent drawing, so it has to be told when that changes. */
function setOpacity(material, opacity) {
  const transparent = opacity < 1;
  if (material.transparent !== transparent) material.needsUpdate = true;
  material.transparent = transparent;
  material.opacity = opacity;
}
