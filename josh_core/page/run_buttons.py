"""Run and Cancel: what the page shows while a clip is computed, and what remains of it at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import gradio as gr

from josh_core.errors import Cancelled, ClipError, JoshError, ResultError
from josh_core.export.early_results import PEOPLE, PLACE
from josh_core.page import markup as words
from josh_core.page.api import caller_of
from josh_core.page.inputs import Upload, wanted
from josh_core.page.layout import Layout
from josh_core.page.owner_buttons import own_result
from josh_core.page.runs import News, Order
from josh_core.page.service import Desk
from josh_core.page.shown_run import MODES, Shown, glimpse_value
from josh_core.serving.jobs import visitor_error

HIDDEN: Any = "hidden"
Updates = dict[Any, Any]


class RunButtons:
    """Run, Cancel, and the updates in between."""

    def __init__(
        self,
        desk: Desk,
        ui: Layout,
        present: Callable[[Shown, Mapping[str, str]], Iterator[Updates]],
        nothing: Callable[[str], Updates],
        cost: Callable[..., str],
    ) -> None:
        """`present` gives updates that show a result, `nothing` those that empty the result side, `cost` a run's."""
        self.desk, self.ui, self.present, self.nothing, self.cost = desk, ui, present, nothing, cost

    def wire(self, quiet: dict[str, Any]) -> None:
        """Connect them; `quiet` are options of every event."""
        ui = self.ui
        running = [ui.progress, ui.found, ui.go, ui.stop, ui.cost, ui.mine, *ui.result]
        ui.go.click(self.run, [ui.clip, ui.upload, ui.query, *ui.options], running, concurrency_limit=None, **quiet)
        ui.stop.click(self.cancel, outputs=ui.stop, concurrency_limit=None, **quiet)

    async def run(
        self, request: gr.Request, clip: Any, upload: Any, query: str, *options: Any
    ) -> AsyncIterator[Updates]:
        """Run the clip and show its result as it grows; or say why there is none, and show again what `query` names."""
        caller = caller_of(request)
        order: Order | None = None
        error: JoshError | None = None
        try:
            if not isinstance(upload, Upload):
                raise ClipError("Choose a clip first, or open an example.")
            settings = wanted(clip, upload, *options)
            order = await asyncio.to_thread(self.desk.runs.order, caller, upload, settings)
            yield self.running(True) | {self.ui.found: ""}
            async for news in self.desk.runs.follow(order):
                told = await asyncio.to_thread(self._told, order, news)
                yield {self.ui.progress: news.card} | self._offered(order) | told
            error = order.ticket.error if order.ticket else None
            said = await asyncio.to_thread(self._at_the_end, order, error, query)
        except Exception as fault:
            said = self._at_the_end(order, visitor_error(fault), query)
        visitor = self.desk.visitors.known(caller.session)
        if isinstance(upload, Upload) and visitor is not None and visitor.chosen == upload.path:
            said[self.ui.cost] = self.cost(clip, upload, *options)  # this run has told how long the next will take
        yield self.running(False) | {self.ui.found: ""} | said

    def _told(self, order: Order, news: News) -> Updates:
        """What is new on the page."""
        if news.grown:
            return self._result(order)
        said: Updates = {}
        shown = order.ticket.shown if order.ticket else {}
        if PEOPLE in news.shown:
            found = shown[PEOPLE]
            said |= {self.ui.found: words.people_found(found["count"], found["jpeg"])}
        if PLACE in news.shown and shown[PLACE] is not None and order.ticket and not order.run:
            said |= self.nothing("") | {self.ui.viewer: glimpse_value(order.ticket.id, shown[PLACE])}
        return said

    def _result(self, order: Order) -> Updates:
        """All that the page says of what is kept so far."""
        session = order.caller.session
        shown = self.desk.open({"run": order.run}, session)
        assert shown is not None
        *_, everything = self.present(shown, {})
        owned = self.desk.owned(session, shown)
        return everything | {self.ui.mine: own_result(shown, owned) if owned else gr.skip()}

    def _at_the_end(self, order: Order | None, error: JoshError | None, query: str) -> Updates:
        """The result, or what went wrong and what is left."""
        try:
            if order is not None and order.run:
                modes = self._result(order)
                return modes | {self.ui.progress: self._lost(order, error) if error else ""}
        except ResultError:  # deleted by its owner, here or in another tab
            return {self.ui.progress: words.card(["The result was deleted."])}
        except Exception as fault:
            error = visitor_error(fault)
        glimpsed = order is not None and order.ticket is not None and order.ticket.shown.get(PLACE) is not None
        said = self._as_before(query) if glimpsed else {}
        calm = words.card(["Cancelled; nothing was kept."])
        return said | {self.ui.progress: calm if isinstance(error, Cancelled) else words.problem(str(error))}

    def _lost(self, order: Order, error: JoshError) -> str:
        """What is said when a run has ended early, but not before there was something to keep."""
        cancelled = isinstance(error, Cancelled)
        if order.whole:
            what = "The result is whole. Its video can be made later: ask for it under Overlay video or Files."
            if cancelled:
                return words.card([f"The video is left out. {what}"])
        else:
            entry, _ = self.desk.store.get(order.run)
            names = " and ".join(MODES[mode][0] for mode in self.desk.store.modes(entry))
            what = f"What was finished before is kept: {names}."
        return words.card([f"Cancelled. {what}"]) if cancelled else words.problem(f"{error} {what}")

    def _as_before(self, query: str) -> Updates:
        """What was on show before a run that has left nothing."""
        try:
            shown = self.desk.open(dict(parse_qsl(query))) or next(iter(self.desk.examples.values()), None)
        except JoshError:
            shown = None
        if shown is None:
            return self.nothing("Nothing was kept of this run.")
        *_, everything = self.present(shown, {})
        return everything

    def running(self, on: bool) -> Updates:
        """Run and Cancel change places."""
        return {
            self.ui.go: gr.update(visible=HIDDEN if on else True),
            self.ui.stop: gr.update(visible=True if on else HIDDEN, interactive=on, value="Cancel"),
        }

    def _offered(self, order: Order) -> Updates:
        """Once the result is there, only its video is left to cancel, and the button says so."""
        asked = order.ticket is not None and order.ticket.stop.is_set()
        return {self.ui.stop: gr.update(value="Skip the video")} if order.whole and not asked else {}

    def cancel(self, request: gr.Request) -> Any:
        """Ask the visitor's job to stop; `run` tells when it has."""
        visitor = self.desk.visitors.known(caller_of(request).session)
        if visitor is not None and visitor.ticket is not None:
            self.desk.jobs.cancel(visitor.ticket)
        return gr.update(interactive=False, value="Stopping …")
