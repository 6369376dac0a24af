// Switches of the viewer inside the explanation.
element.addEventListener('click', ({ target }) => {
  const { mode, view } = target.dataset;
  if (!mode && !view) return;
  if (mode) window.joshViewer?.setMode?.(mode);
  if (view) window.joshViewer?.setView?.(view);
  document.querySelector('#j-view').scrollIntoView({ block: 'nearest', behavior: 'smooth' });
});
