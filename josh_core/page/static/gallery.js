// Examples as buttons with a picture; a press opens the result at once.
element.addEventListener('click', (event) => {
  const chosen = event.target.closest('[data-example]');
  if (chosen) trigger('select', { example: chosen.dataset.example });
});
