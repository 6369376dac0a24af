"""What somebody does with a run of their own: share it, delete it, find it again in this browser's list."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode

import gradio as gr

from josh_core.errors import ClipError, ResultError
from josh_core.page import markup as words
from josh_core.page.api import caller_of, detail, refusal
from josh_core.page.layout import Layout
from josh_core.page.service import Desk
from josh_core.page.shown_run import MODES, Shown, clean_view
from josh_core.page.visitors import Owned

HIDDEN: Any = "hidden"
Updates = dict[Any, Any]


def own_result(shown: Shown, owned: Owned) -> dict[str, Any]:
    """What the browser notes of a run of its visitor's: my_results.js keeps it."""
    return {
        "id": shown.id,
        "title": owned.title or shown.title,
        "mode": MODES[shown.best][0],
        "time": round(time.time()),
        "key": owned.delete_key,
    }


class Owner:
    """The buttons of a run's owner."""

    def __init__(self, desk: Desk, ui: Layout, nothing: Callable[[str], Updates]) -> None:
        """`nothing` gives updates that empty the result side and say why."""
        self.desk, self.ui, self.nothing = desk, ui, nothing

    def wire(self, quiet: dict[str, Any]) -> None:
        """Connect them; `quiet` are options of every event. The browser adds the delete key that it keeps."""
        ui = self.ui
        key = "window.joshResults?.key(window.joshViewer?.value?.id) ?? ''"  # the query is a State: JS has it not
        told = [ui.query, ui.origin, ui.link_view, ui.own_key]
        js = f"(query) => [query, location.origin + location.pathname, window.joshViewer?.link ?? '', {key}]"
        ui.share.click(self.share_view, told, [ui.link, ui.notice], js=js, **quiet)
        ui.delete.click(lambda: self._asking(True), outputs=ui.deleting, **quiet)
        ui.delete_no.click(lambda: self._asking(False), outputs=ui.deleting, **quiet)
        gone = [*ui.result, *ui.deleting, ui.mine]
        js = f"(query, typed) => [query, typed.trim() || ({key})]"
        ui.delete_yes.click(self.delete_run, [ui.query, ui.delete_key], gone, js=js, **quiet)
        ui.mine.delete(self.delete_listed, ui.query, gone, **quiet)

    def _asking(self, on: bool) -> Updates:
        """Whether the page asks if the result shall really be deleted."""
        return {
            self.ui.delete: gr.update(visible=HIDDEN if on else True),
            self.ui.sure: gr.update(visible=True if on else HIDDEN),
        }

    def share_view(self, query: str, origin: str, view: str, key: str, request: gr.Request) -> Updates:
        """Keep the run and make a link to it as it is seen now."""
        session = caller_of(request).session
        try:
            shown = self.desk.open(dict(parse_qsl(str(query))), session)
            if shown is None:
                raise ClipError("There is nothing to share yet; open an example or run a clip.")
            shown = self.desk.share(shown, session, str(key))
            link = f"{origin}?{shown.query}&{urlencode(clean_view(dict(parse_qsl(str(view)))), safe=',')}"
        except Exception as error:
            raise refusal(error) from None
        owned = self.desk.owned(session, shown)
        said = [f"Only you can delete it, with this key: <code>{owned.delete_key}</code>"] if owned else []
        said += ["This browser keeps the key with your results."] if owned else []
        return {
            self.ui.link: gr.update(value=link, visible=True),
            self.ui.notice: words.card(said) if said else "",
        }

    def delete_run(self, query: str, key: str, request: gr.Request) -> Updates:
        """Remove the run on show for its owner."""
        try:
            shown = self.desk.open(dict(parse_qsl(str(query))))
            if shown is None:
                raise ClipError("There is nothing to delete.")
            self.desk.delete(shown, caller_of(request).session, str(key).strip())
        except Exception as error:
            raise refusal(error) from None
        return self._deleted(shown.id)

    def delete_listed(self, query: str, event: gr.EventData) -> Updates:
        """Remove a run of the browser's list; one that is gone already leaves the list too."""
        run_id, key = detail(event, "id"), detail(event, "key")
        try:
            self.desk.store.get(run_id)
        except ResultError:
            return {self.ui.mine: {"removed": run_id}}
        try:
            self.desk.remove(run_id, key)
        except Exception as error:
            raise refusal(error) from None
        return self._deleted(run_id) if query == f"run={run_id}" else {self.ui.mine: {"removed": run_id}}

    def _deleted(self, run_id: str) -> Updates:
        empty = self.nothing("The result is deleted.")
        empty[self.ui.viewer] |= {"query": ""}  # the address names it no longer
        return empty | self._asking(False) | {self.ui.mine: {"removed": run_id}}
