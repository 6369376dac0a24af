// "My results": what this browser has run, kept in its own storage with the keys that delete them.
// Runs inside a gr.HTML. Value from the server: {id, title, mode, time, key} of a new run, or {removed: id}.
const PLACE = 'josh-results';
const box = element.querySelector('.j-mine');

function read() {
  try {
    const list = JSON.parse(localStorage.getItem(PLACE) ?? '[]');
    return Array.isArray(list) ? list.filter((run) => typeof run?.id === 'string') : [];
  } catch {
    return []; // a browser that keeps nothing, or something that is not ours
  }
}

function write(list) {
  try {
    localStorage.setItem(PLACE, JSON.stringify(list));
  } catch {
    return; // private windows may keep nothing
  }
}

function button(text, title, act) {
  const made = document.createElement('button');
  Object.assign(made, { type: 'button', className: 'j-link', textContent: text, title });
  made.addEventListener('click', act);
  return made;
}

/** One run: its name opens it; deleting asks first. */
function line(run) {
  const row = document.createElement('li');
  const when = new Date(1000 * run.time);
  const said = document.createElement('small');
  said.textContent = `${run.mode} · ${when.toLocaleDateString()} ${when.toLocaleTimeString([], { timeStyle: 'short' })}`;
  const open = button(run.title, 'Open this result', () => trigger('select', { query: `run=${run.id}` }));
  open.classList.add('j-name');
  const ask = button('Delete', `Delete ${run.title}`, () => sure());
  ask.setAttribute('aria-label', ask.title);
  const sure = () => {
    const yes = button('Yes', 'Delete for good', () => trigger('delete', { id: run.id, key: run.key }));
    said.textContent = 'Delete for good?';
    row.replaceChildren(open, said, yes, button('No', 'Keep it', show));
    yes.focus();
  };
  row.replaceChildren(open, said, ask);
  return row;
}

function show() {
  const list = read();
  box.hidden = !list.length;
  if (!list.length) return box.replaceChildren();
  const title = document.createElement('p');
  title.className = 'j-title';
  title.textContent = 'My results';
  const rows = document.createElement('ul');
  rows.append(...list.map(line));
  return box.replaceChildren(title, rows);
}

watch('value', () => {
  const { id, title, mode, time, key, removed } = props.value ?? {};
  const others = read().filter((run) => run.id !== (id ?? removed));
  if (id) write([{ id, title, mode, time, key }, ...others]);
  else if (removed) write(others);
  show();
});
window.joshResults = { key: (id) => read().find((run) => run.id === id)?.key };
window.addEventListener('storage', (event) => event.key === PLACE && show());
show();
