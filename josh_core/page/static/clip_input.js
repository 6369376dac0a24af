// The clip chooser: drop, browse or record; then a strip of pictures with the part that will be used.
// Runs inside a gr.HTML: `element`, `props`, `trigger` and `watch` are Gradio's.
// Value: null, or {file, name} once uploaded; the server answers with {name, seconds, strip, start, length}.
const one = (selector) => element.querySelector(selector);
const drop = one('.j-drop');
const file = one('input[type=file]');
const say = (text) => { one('.j-say').textContent = text; };
const empty = 'Drop a video here, or choose one';
const clock = (s) => `${s.toFixed(1)} s`;
const root = (window.gradio_config?.root || '').replace(/\/$/, '');
let camera = null;

/** Send a file; where the server put it. Gradio's own `upload` tells neither how far it is nor a refusal's sentence. */
function send(chosen) {
  const body = new FormData();
  body.append('files', chosen, chosen.name);
  const request = new XMLHttpRequest();
  request.open('POST', `${root}/gradio_api/upload`);
  request.upload.onprogress = ({ loaded, total }) => say(`Uploading ${chosen.name}: ${Math.floor(100 * loaded / total)} %`);
  return new Promise((resolve, reject) => {
    request.onload = () => {
      const said = answer(request.responseText);
      if (request.status === 200 && typeof said?.[0] === 'string') resolve(said[0]);
      else reject(new Error(request.status === 413 ? tooLarge() : said?.detail ?? 'The upload failed; please try again.'));
    };
    request.onerror = () => reject(new Error('The connection broke during the upload; please try again.'));
    request.send(body);
  });
}

function answer(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const tooLarge = () => `This file is larger than ${+props.limit.toPrecision(3)} MB; please cut it first.`;

async function take(chosen) {
  if (!chosen) return;
  if (chosen.size > 1e6 * props.limit) return void say(tooLarge());
  say(`Uploading ${chosen.name} …`);
  drop.classList.add('j-busy');
  try {
    const path = await send(chosen);
    props.value = { file: { path, orig_name: chosen.name, meta: { _type: 'gradio.FileData' } }, name: chosen.name };
    say('Looking at the clip …');
    trigger('upload');
  } catch (error) {
    say(error.message);
  } finally {
    drop.classList.remove('j-busy');
    file.value = '';
  }
}

function show() {
  const value = props.value;
  const there = Boolean(value && value.strip !== undefined);
  one('.j-chosen').hidden = !there;
  drop.hidden = there;
  if (!there) return void (value || say(empty));
  one('.j-name').textContent = value.name;
  one('.j-strip').src = value.strip || 'data:,';
  const [start, length] = ranges();
  start.max = Math.max(value.seconds - 0.5, 0);
  length.max = Math.ceil(10 * Math.min(value.seconds, value.longest)) / 10; // a whole step: else the last is out of reach
  start.value = value.start;
  length.value = value.length;
  mark();
}

const ranges = () => [one('.j-start'), one('.j-length')];

/** Draw the window over the strip; the length never reaches beyond the end of the clip. */
function mark() {
  const [start, length] = ranges();
  const total = props.value.seconds;
  const from = Number(start.value);
  const used = Math.min(Number(length.value), props.value.longest, total - from);
  one('.j-window').style.left = `${100 * from / total}%`;
  one('.j-window').style.width = `${100 * used / total}%`;
  one('.j-start-out').textContent = clock(from);
  one('.j-length-out').textContent = clock(used);
  return { start: from, length: used };
}

async function record() {
  if (camera) return camera.stop();
  if (!navigator.mediaDevices || !window.MediaRecorder) return say('This browser cannot record here; please upload a file.');
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } }, audio: false });
  } catch {
    return say('The camera could not be opened; allow it in the browser, or upload a file.');
  }
  const live = one('.j-live');
  live.srcObject = stream;
  live.hidden = false;
  const parts = [];
  camera = new MediaRecorder(stream);
  camera.ondataavailable = (event) => parts.push(event.data);
  camera.onstop = () => {
    const type = camera.mimeType.includes('mp4') ? 'mp4' : 'webm';
    camera = null;
    for (const track of stream.getTracks()) track.stop();
    live.hidden = true;
    live.srcObject = null;
    one('.j-record').textContent = 'Record';
    take(new File(parts, `recording.${type}`, { type: `video/${type}` }));
  };
  camera.start();
  one('.j-record').textContent = 'Stop recording';
}

for (const [name, gone] of [['load', false], ['error', true]]) { // a clip that is slow to decode has no pictures yet
  one('.j-strip').addEventListener(name, () => { one('.j-strip').hidden = gone; });
}
one('.j-browse').addEventListener('click', () => file.click());
one('.j-record').addEventListener('click', record);
file.addEventListener('change', () => take(file.files[0]));
for (const name of ['dragover', 'dragleave', 'drop']) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle('j-over', name === 'dragover');
    if (name === 'drop') take(event.dataTransfer.files[0]);
  });
}
one('.j-other').addEventListener('click', () => { props.value = null; show(); say(empty); trigger('clear'); });
for (const range of ranges()) {
  range.addEventListener('input', mark);
  range.addEventListener('change', () => { props.value = { ...props.value, ...mark() }; trigger('select'); });
}
watch('value', () => {
  if (props.value && props.value.problem) say(props.value.problem);
  show();
});
show();
