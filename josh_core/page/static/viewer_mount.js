// Puts the viewer into its gr.HTML and keeps it on the value. Gradio has no unmount hook, so the document is watched.
const root = (window.gradio_config?.root || '').replace(/\/$/, '');
const host = element.querySelector('.j-viewer');
const ready = import(`${root}/gradio_api/file=${props.module}?v=${props.version}`).then(({ mount }) => {
  window.joshViewer = mount(host);
  return window.joshViewer;
});
const VIEW = ['t', 'mode', 'view', 'hide', 'point'];
const first = props.value?.query; // what an address that names nothing stands for
let shown = '';

/** What the page's address asks for: "run=..." or "example=...". */
function named() {
  const query = new URLSearchParams(location.search);
  const key = ['run', 'example'].find((name) => query.has(name));
  return key ? `${key}=${query.get(key)}` : first;
}

/** Let the address name what is on show, so that reload, back and a bookmark find it; "" when it is gone for good. */
function address(query) {
  if (query === undefined || query === named()) return;
  const kept = new URLSearchParams(location.search);
  for (const name of ['run', 'example', ...VIEW]) kept.delete(name);
  for (const [name, value] of new URLSearchParams(query)) kept.set(name, value);
  const place = `${location.pathname}${kept.size ? `?${kept}` : ''}`;
  if (query) history.pushState(null, '', place);
  else history.replaceState(null, '', place);
}

/** Back or forward: the server is asked for what the address names now. */
function opened() {
  if (named() !== props.value?.query) trigger('select', { query: named() ?? '' });
}

async function show(asked = null) {
  const viewer = await ready;
  // An update's value comes with fields of Gradio's own; the rest may be what is on show already.
  const { id, query, title, clip, overlay, modes, mode, view, message } = asked ?? props.value ?? {};
  const key = JSON.stringify({ id, title, clip, overlay, modes, mode, view, message });
  if (key === shown) return;
  shown = key;
  address(query);
  // Addresses come relative to the app's root, and the viewer gets a copy that Gradio does not watch.
  await viewer.show(JSON.parse(key, (name, part) => (name === 'url' && !part.startsWith('data:') ? `${root}/${part}` : part)));
}
watch('value', () => show());
// The page comes with an example to begin with. A link that asks for anything else waits for the server's answer, which
// is no news, and so not heard of, when it is that very example.
const asked = new URLSearchParams(location.search);
if (props.value && named() === first) {
  const parts = VIEW.filter((part) => asked.has(part));
  show({ ...props.value, view: Object.fromEntries(parts.map((part) => [part, asked.get(part)])) });
}
window.addEventListener('popstate', opened);
new MutationObserver((_, observer) => {
  if (element.isConnected) return;
  observer.disconnect();
  window.removeEventListener('popstate', opened);
  ready.then((viewer) => viewer.dispose());
}).observe(document.body, { childList: true, subtree: true });
