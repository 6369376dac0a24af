// Buttons with data-ask: a file that is made when somebody asks. The server is asked until it says where the file is;
// then it is saved, or shown in the place of the button where that says data-film.
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const root = (window.gradio_config?.root || '').replace(/\/$/, '');

async function follow(button) {
  const note = button.querySelector('.j-note');
  for (;;) {
    let state;
    try {
      state = await server.ask(JSON.parse(button.dataset.ask));
    } catch {
      state = { problem: 'The connection broke; please ask again.' };
    }
    if (state.url || state.problem) return state;
    note.textContent = state.note;
    button.style.setProperty('--done', `${100 * state.fraction}%`);
    await pause(700);
  }
}

function save(url, name) {
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
}

function film(url, label) {
  const video = document.createElement('video');
  Object.assign(video, { src: url, controls: true, loop: true, muted: true, playsInline: true, autoplay: true });
  video.setAttribute('aria-label', label);
  return video;
}

element.addEventListener('click', async (event) => {
  const button = event.target.closest('[data-ask]');
  if (!button || button.classList.contains('j-busy')) return;
  button.classList.add('j-busy');
  const { url, problem } = await follow(button);
  button.classList.remove('j-busy');
  button.querySelector('.j-note').textContent = problem ?? (button.isConnected ? 'ready' : '');
  if (!url) return;
  if (button.dataset.film) button.replaceWith(film(`${root}/${url}`, button.dataset.film));
  else save(`${root}/${url}?name=${encodeURIComponent(button.dataset.save)}`, button.dataset.save);
});
