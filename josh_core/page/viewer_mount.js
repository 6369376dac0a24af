// Puts the viewer into its gr.HTML and keeps it on the value. Gradio has no unmount hook, so the document is watched.
const root = (window.gradio_config?.root || '').replace(/\/$/, '');
const host = element.querySelector('.j-viewer');
const ready = import(`${root}/gradio_api/file=${props.module}?v=${props.version}`).then(({ mount }) => {
  window.joshViewer = mount(host);
  return window.joshViewer;
});
let shown = '';
async function show(asked = null) {
  const viewer = await ready;
  // An update's value comes with fields of Gradio's own; the rest may be what is on show already.
  const { id, title, clip, overlay, modes, mode, view, message } = asked ?? props.value ?? {};
  const key = JSON.stringify({ id, title, clip, overlay, modes, mode, view, message });
  if (key === shown) return;
  shown = key;
  // Addresses come relative to the app's root, and the viewer gets a copy that Gradio does not watch.
  await viewer.show(JSON.parse(key, (name, part) => (name === 'url' ? `${root}/${part}` : part)));
}
watch('value', () => show());
// The page comes with an example to begin with. A link that asks for anything else waits for the server's answer, which
// is no news, and so not heard of, when it is that very example.
const query = new URLSearchParams(location.search);
if (props.value && !query.has('run') && (query.get('example') ?? props.value.id) === props.value.id) {
  const parts = ['t', 'mode', 'view', 'hide', 'point'].filter((part) => query.has(part));
  show({ ...props.value, view: Object.fromEntries(parts.map((part) => [part, query.get(part)])) });
}
new MutationObserver((_, observer) => {
  if (element.isConnected) return;
  observer.disconnect();
  ready.then((viewer) => viewer.dispose());
}).observe(document.body, { childList: true, subtree: true });
