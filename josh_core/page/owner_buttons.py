"""What the owner of a run can do: share it, delete it, open it from this browser's list."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode

import gradio as gr

from josh_core.errors import ClipError, ResultError
from josh_core.page.api import caller_of, event_text, refusal
from josh_core.page.parts import markup
from josh_core.page.parts.layout import HIDDEN, Layout, Updates
from josh_core.page.service import PageService
from josh_core.page.shown_run import MODE_TEXTS, ShownRun, clean_view
from josh_core.page.visitors.visitor import Owned


def own_result(shown: ShownRun, owned: Owned) -> dict[str, Any]:
    """What the browser stores about a run of its visitor (my_results.js)."""
    return {
        "id": shown.id,
        "title": owned.title or shown.title,
        "mode": MODE_TEXTS[shown.best].label,
        "time": round(time.time()),
        "key": owned.delete_key,
    }


class OwnerButtons:
    """The buttons of a run's owner."""

    def __init__(self, service: PageService, ui: Layout, emptied: Callable[[str], Updates]) -> None:
        """emptied: gives updates that empty the result side and show a message there."""
        self.service, self.ui, self.emptied = service, ui, emptied

    def wire(self, quiet: dict[str, Any]) -> None:
        """Connect the events; quiet: options of all of them. The browser adds the delete key that it stores."""
        ui = self.ui
        key = "window.joshResults?.key(window.joshViewer?.value?.id) ?? ''"  # the query is a State: JS has it not
        inputs = [ui.query, ui.origin, ui.link_view, ui.own_key]
        js = f"(query) => [query, location.origin + location.pathname, window.joshViewer?.link ?? '', {key}]"
        ui.share.click(self.share_view, inputs, [ui.link, ui.notice], js=js, **quiet)
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
        """Share the run and make a link to its current view."""
        session = caller_of(request).session
        try:
            shown = self.service.open(dict(parse_qsl(str(query))), session)
            if shown is None:
                raise ClipError("There is nothing to share yet; open an example or run a clip.")
            shown = self.service.share(shown, session, str(key))
            link = f"{origin}?{shown.query}&{urlencode(clean_view(dict(parse_qsl(str(view)))), safe=',')}"
        except Exception as error:
            raise refusal(error) from None
        owned = self.service.owned(session, shown)
        lines = [f"Only you can delete it, with this key: <code>{owned.delete_key}</code>"] if owned else []
        lines += ["This browser keeps the key with your results."] if owned else []
        return {
            self.ui.link: gr.update(value=link, visible=True),
            self.ui.notice: markup.card(lines) if lines else "",
        }

    def delete_run(self, query: str, key: str, request: gr.Request) -> Updates:
        """Remove the run on show for its owner."""
        try:
            shown = self.service.open(dict(parse_qsl(str(query))))
            if shown is None:
                raise ClipError("There is nothing to delete.")
            self.service.delete(shown, caller_of(request).session, str(key).strip())
        except Exception as error:
            raise refusal(error) from None
        return self._deleted(shown.id)

    def delete_listed(self, query: str, event: gr.EventData) -> Updates:
        """Remove a run of the browser's list; one that is gone already leaves the list too."""
        run_id, key = event_text(event, "id"), event_text(event, "key")
        try:
            self.service.store.get(run_id)
        except ResultError:
            return {self.ui.mine: {"removed": run_id}}
        try:
            self.service.remove(run_id, key)
        except Exception as error:
            raise refusal(error) from None
        return self._deleted(run_id) if query == f"run={run_id}" else {self.ui.mine: {"removed": run_id}}

    def _deleted(self, run_id: str) -> Updates:
        empty = self.emptied("The result is deleted.")
        empty[self.ui.viewer] |= {"query": ""}  # the address names it no longer
        return empty | self._asking(False) | {self.ui.mine: {"removed": run_id}}
