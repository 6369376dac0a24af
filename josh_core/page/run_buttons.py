"""Run and Cancel: what the page shows during a run and at its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import gradio as gr

from josh_core.errors import Cancelled, ClipError, JoshError, ResultError
from josh_core.export.early_results import PEOPLE, PLACE
from josh_core.page.api import caller_of
from josh_core.page.owner_buttons import own_result
from josh_core.page.parts import markup
from josh_core.page.parts.layout import HIDDEN, Layout, Updates
from josh_core.page.runs import Order, RunUpdate
from josh_core.page.service import PageService
from josh_core.page.shown_run import MODE_TEXTS, ShownRun, preview_value
from josh_core.page.visitors.inputs import Upload, settings_from_inputs
from josh_core.serving.visitor_errors import visitor_error


class RunButtons:
    """Run, Cancel, and the updates in between."""

    def __init__(
        self,
        service: PageService,
        ui: Layout,
        present: Callable[[ShownRun, Mapping[str, str]], Iterator[Updates]],
        emptied: Callable[[str], Updates],
        cost: Callable[..., str],
    ) -> None:
        """present: gives updates that show a result; emptied: those that empty the result side; cost: the cost card."""
        self.service, self.ui, self.present, self.emptied, self.cost = service, ui, present, emptied, cost

    def wire(self, quiet: dict[str, Any]) -> None:
        """Connect the events; quiet: options of all of them."""
        ui = self.ui
        running = [ui.progress, ui.found, ui.go, ui.stop, ui.cost, ui.mine, *ui.result]
        ui.go.click(self.run, [ui.clip, ui.upload, ui.query, *ui.options], running, concurrency_limit=None, **quiet)
        ui.stop.click(self.cancel, outputs=ui.stop, concurrency_limit=None, **quiet)

    async def run(
        self, request: gr.Request, clip: Any, upload: Any, query: str, *options: Any
    ) -> AsyncIterator[Updates]:
        """Run the clip and show its result as it grows; or show the error, and again the run that `query` names."""
        caller = caller_of(request)
        order: Order | None = None
        error: JoshError | None = None
        try:
            if not isinstance(upload, Upload):
                raise ClipError("Choose a clip first, or open an example.")
            settings = settings_from_inputs(clip, upload, *options)
            order = await asyncio.to_thread(self.service.runs.order, caller, upload, settings)
            yield self.running(True) | {self.ui.found: ""}
            async for update in self.service.runs.follow(order):
                changes = await asyncio.to_thread(self._updates_for, order, update)
                yield {self.ui.progress: update.card} | self._cancel_label(order) | changes
            error = order.ticket.error if order.ticket else None
            updates = await asyncio.to_thread(self._final, order, error, query)
        except Exception as fault:
            updates = self._final(order, visitor_error(fault), query)
        visitor = self.service.visitors.known(caller.session)
        if isinstance(upload, Upload) and visitor is not None and visitor.chosen == upload.path:
            updates[self.ui.cost] = self.cost(clip, upload, *options)  # the estimate has changed with this run
        yield self.running(False) | {self.ui.found: ""} | updates

    def _updates_for(self, order: Order, update: RunUpdate) -> Updates:
        """Updates of the result side for what is new about a run."""
        if update.grown:
            return self._result(order)
        updates: Updates = {}
        shown = order.ticket.shown if order.ticket else {}
        if PEOPLE in update.shown:
            found = shown[PEOPLE]
            updates |= {self.ui.found: markup.people_found(found["count"], found["jpeg"])}
        if PLACE in update.shown and shown[PLACE] is not None and order.ticket and not order.run:
            updates |= self.emptied("") | {self.ui.viewer: preview_value(order.ticket.id, shown[PLACE])}
        return updates

    def _result(self, order: Order) -> Updates:
        """Updates that show what is stored so far."""
        session = order.caller.session
        shown = self.service.open({"run": order.run}, session)
        assert shown is not None
        *_, everything = self.present(shown, {})
        owned = self.service.owned(session, shown)
        return everything | {self.ui.mine: own_result(shown, owned) if owned else gr.skip()}

    def _final(self, order: Order | None, error: JoshError | None, query: str) -> Updates:
        """Updates with the result, or with the error and what is stored in spite of it."""
        try:
            if order is not None and order.run:
                modes = self._result(order)
                return modes | {self.ui.progress: self._ended_early(order, error) if error else ""}
        except ResultError:  # deleted by its owner, here or in another tab
            return {self.ui.progress: markup.card(["The result was deleted."])}
        except Exception as fault:
            error = visitor_error(fault)
        previewed = order is not None and order.ticket is not None and order.ticket.shown.get(PLACE) is not None
        updates = self._previous(query) if previewed else {}
        calm = markup.card(["Cancelled; nothing was kept."])
        return updates | {self.ui.progress: calm if isinstance(error, Cancelled) else markup.problem(str(error))}

    def _ended_early(self, order: Order, error: JoshError) -> str:
        """The card of a run that ended early, after a part of it was stored."""
        cancelled = isinstance(error, Cancelled)
        if order.whole:
            what = "The result is whole. Its video can be made later: ask for it under Overlay video or Files."
            if cancelled:
                return markup.card([f"The video is left out. {what}"])
        else:
            entry, _ = self.service.store.get(order.run)
            names = " and ".join(MODE_TEXTS[mode].label for mode in self.service.store.modes(entry))
            what = f"What was finished before is kept: {names}."
        return markup.card([f"Cancelled. {what}"]) if cancelled else markup.problem(f"{error} {what}")

    def _previous(self, query: str) -> Updates:
        """Updates that show again what was open before a run that left no result."""
        try:
            shown = self.service.open(dict(parse_qsl(query))) or next(iter(self.service.examples.values()), None)
        except JoshError:
            shown = None
        if shown is None:
            return self.emptied("Nothing was kept of this run.")
        *_, everything = self.present(shown, {})
        return everything

    def running(self, on: bool) -> Updates:
        """Show Cancel in the place of Run (on), or Run again."""
        return {
            self.ui.go: gr.update(visible=HIDDEN if on else True),
            self.ui.stop: gr.update(visible=True if on else HIDDEN, interactive=on, value="Cancel"),
        }

    def _cancel_label(self, order: Order) -> Updates:
        """Once the result is there, only its video is left to cancel, and the button says so."""
        asked = order.ticket is not None and order.ticket.stop.is_set()
        return {self.ui.stop: gr.update(value="Skip the video")} if order.whole and not asked else {}

    def cancel(self, request: gr.Request) -> Any:
        """Ask the visitor's job to stop; `run` tells when it has."""
        visitor = self.service.visitors.known(caller_of(request).session)
        if visitor is not None and visitor.ticket is not None:
            self.service.jobs.cancel(visitor.ticket)
        return gr.update(interactive=False, value="Stopping …")
