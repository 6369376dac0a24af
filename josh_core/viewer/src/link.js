// The state of a view as short text for a link: t, mode, view, hide, point. Unknown or broken parts are ignored.

const NUMBER = /^-?\d+(\.\d+)?$/;

/** @returns a query string such as "t=2.4&mode=refine&view=orbit,1,2,3,0,1,0&hide=scene" without "?". */
export function encodeState(state) {
  const parts = [`t=${round(state.time)}`, `mode=${state.mode}`];
  const numbers = [...(state.view.position ?? []), ...(state.view.target ?? [])].map(round);
  parts.push(`view=${[state.view.kind, ...numbers].join(',')}`);
  if (state.hidden.length) parts.push(`hide=${state.hidden.join(',')}`);
  parts.push(`point=${round(state.pointSize)}`);
  return parts.join('&');
}

/** @param query {t, mode, view, hide, point}: strings, each may be missing. */
export function decodeState(query) {
  const state = {};
  if (NUMBER.test(query.t ?? '')) state.time = Number(query.t);
  if (/^[a-z]{1,20}$/.test(query.mode ?? '')) state.mode = query.mode;
  if (NUMBER.test(query.point ?? '')) state.pointSize = Number(query.point);
  if (query.hide) state.hidden = query.hide.split(',').filter((name) => /^[a-z0-9_]{1,24}$/.test(name));
  const [kind, ...numbers] = (query.view ?? '').split(',');
  if (/^(orbit|camera|follow\d{1,3})$/.test(kind)) {
    state.view = { kind };
    if (numbers.length === 6 && numbers.every((n) => NUMBER.test(n))) {
      state.view.position = numbers.slice(0, 3).map(Number);
      state.view.target = numbers.slice(3).map(Number);
    }
  }
  return state;
}

function round(value) {
  return String(Math.round(value * 1000) / 1000);
}
