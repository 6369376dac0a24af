"""The page: a clip goes in on the left, its 4D result plays on the right. No algorithm lives here, only wiring."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import gradio as gr

from josh_core import viewer
from josh_core.errors import Cancelled, JoshError
from josh_core.page import markup as words
from josh_core.page.api import caller_of, detail, offer, refusal
from josh_core.page.blocks import Blocks
from josh_core.page.components import head, part
from josh_core.page.connections import Connections
from josh_core.page.cost import cost_card
from josh_core.page.files import files_list, film
from josh_core.page.guard import Guard
from josh_core.page.inputs import Upload, chosen_clip, wanted
from josh_core.page.layout import Layout
from josh_core.page.link_preview import SITE_TITLE, LinkPreview
from josh_core.page.owner_buttons import Owner
from josh_core.page.plots import plots
from josh_core.page.rate_limits import SESSIONS_KEPT
from josh_core.page.request_rules import Rules
from josh_core.page.response_cache import KeptFiles
from josh_core.page.run_buttons import RunButtons
from josh_core.page.service import Desk
from josh_core.page.shown_run import Shown, viewer_value
from josh_core.serving.jobs import visitor_error
from josh_core.serving.processes import open_files

SYSTEM_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")
HIDDEN: Any = "hidden"  # in the page but not seen; visible=False would take the component out of it
Updates = dict[Any, Any]


class Page:
    """Layout and wiring of one page on one desk."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        os.environ["GRADIO_TEMP_DIR"] = str(desk.uploads)  # where Gradio puts uploads and copies
        with Blocks(title=SITE_TITLE, analytics_enabled=False, fill_width=True, delete_cache=(600, 3600)) as blocks:
            self.blocks = blocks
            self.ui = Layout(desk.config, desk.examples, self.ask)
            self._wire()
            offer(desk)

    def _wire(self) -> None:
        ui = self.ui
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        self.blocks.load(self.open_link, outputs=ui.result, concurrency_limit=None, **quiet)
        self.blocks.unload(self.leave)
        chosen = [ui.clip, ui.upload, ui.cost, ui.go]
        ui.clip.upload(self.take_upload, [ui.clip, *ui.options], chosen, concurrency_limit=None, **quiet)
        ui.clip.clear(self.drop_upload, outputs=chosen, **quiet)
        changed: list[Any] = [option.change for option in ui.options]  # type: ignore[attr-defined]  # made at run time
        costs = [ui.clip.select, *changed]
        gr.on(costs, self.show_cost, [ui.clip, ui.upload, *ui.options], ui.cost, **quiet)
        ui.gallery.select(self.open_example, outputs=ui.result, concurrency_limit=None, **quiet)
        ui.viewer.select(self.open_named, outputs=ui.result, concurrency_limit=None, **quiet)
        ui.mine.select(self.open_named, outputs=ui.result, concurrency_limit=None, **quiet)
        wake = "() => document.querySelector('#j-film [data-ask]')?.click()"
        ui.film_tab.select(None, js=wake, **quiet)
        RunButtons(self.desk, ui, self.present, self.nothing, self.show_cost).wire(quiet)
        Owner(self.desk, ui, self.nothing).wire(quiet)

    # ---- results -------------------------------------------------------------------------------------------------

    def present(self, shown: Shown, query: Mapping[str, str]) -> Iterator[Updates]:
        """Updates that put a run on the page: first the viewer, then all of it.

        Gradio's page can drop an update that another one follows at once, so the last says everything.
        """
        first = {
            self.ui.viewer: viewer_value(shown, query),
            self.ui.query: shown.query,
            self.ui.share: gr.update(visible=True),
            self.ui.link: gr.update(visible=HIDDEN),
            self.ui.notice: "",
            self.ui.quality: words.quality_table(shown),
        }
        yield first
        coming = self.desk.runs.made_by_itself(shown.id)
        yield first | {
            self.ui.plots: plots(shown),
            self.ui.film: film(shown, coming),
            self.ui.files: files_list(shown, coming),
            self.ui.details: words.details(shown),
        }

    def ask(self, wish: Any) -> dict[str, Any]:
        """How far the file is that a button asks for (files_on_demand.py), or {problem}."""
        try:
            return self.desk.ask(wish)
        except Exception as error:
            return {"problem": str(visitor_error(error))}

    def nothing(self, message: str) -> Updates:
        """Updates that empty the result side and say why."""
        empty = dict.fromkeys((self.ui.quality, self.ui.plots, self.ui.film, self.ui.files, self.ui.details), "")
        return empty | {
            self.ui.viewer: {"message": message},
            self.ui.query: "",
            self.ui.share: gr.update(visible=HIDDEN),
            self.ui.link: gr.update(visible=HIDDEN),
        }

    def open_link(self, request: gr.Request) -> Iterator[Updates]:
        """What the page's address asks for, else the first example."""
        yield from self._open(dict(request.query_params), caller_of(request).session)

    def open_named(self, event: gr.EventData, request: gr.Request) -> Iterator[Updates]:
        """What the address names after back or forward, or one of the visitor's own results."""
        yield from self._open(dict(parse_qsl(detail(event, "query"))), caller_of(request).session)

    def _open(self, query: Mapping[str, str], session: str) -> Iterator[Updates]:
        try:
            shown = self.desk.open(query, session) or next(iter(self.desk.examples.values()), None)
            if shown is None:
                yield self.nothing("Choose a clip on the left, and its people and place will appear here.")
            else:
                yield from self.present(shown, query)
        except Exception as error:
            yield self.nothing(str(visitor_error(error)))

    def open_example(self, event: gr.EventData) -> Iterator[Updates]:
        """Show a stored example."""
        try:
            shown = self.desk.open({"example": detail(event, "example")})
            assert shown is not None
            yield from self.present(shown, {})
        except Exception as error:
            raise refusal(error) from None

    # ---- clip and cost -------------------------------------------------------------------------------------------

    async def take_upload(self, request: gr.Request, clip: Any, *options: Any) -> AsyncIterator[Updates]:
        """Look at what was uploaded: facts, strip, cost, then people; or say why it cannot be used."""
        ui, caller = self.ui, caller_of(request)
        sent = clip if isinstance(clip, dict) else {}
        name, file = str(sent.get("name") or ""), sent.get("file")
        try:
            upload = await self.desk.take(caller, file.get("path") if isinstance(file, dict) else None, name)
        except Cancelled:
            return
        except Exception as error:
            told = visitor_error(error)
            yield {ui.clip: {"problem": str(told)}, ui.upload: None, ui.go: gr.update(interactive=False)}
            return
        value = chosen_clip(upload, name)
        visitor = self.desk.visitors.get(caller.session)
        visitor.chosen = upload.path
        said: Updates = {ui.clip: value}
        if not self.desk.jobs.tickets():  # a device is free to look for people, which takes a moment
            yield said | {ui.cost: self.show_cost(value, upload, *options)}
            upload, said = await self.desk.count(upload), {}
        # Run is offered last: Gradio's page can lose an event that begins just as another one ends.
        if visitor.chosen == upload.path:
            cost = self.show_cost(value, upload, *options)
            yield said | {ui.upload: upload, ui.cost: cost, ui.go: gr.update(interactive=True)}

    def drop_upload(self, request: gr.Request) -> Updates:
        """The visitor wants another clip."""
        visitor = self.desk.visitors.known(caller_of(request).session)
        if visitor is not None:
            visitor.chosen = None
        return {self.ui.upload: None, self.ui.cost: "", self.ui.go: gr.update(interactive=False)}

    def show_cost(self, clip: Any, upload: Upload | None, *options: Any) -> str:
        """The card of what a run takes."""
        if upload is None:
            return ""
        try:
            settings = wanted(clip, upload, *options)
        except JoshError as error:
            return words.problem(str(error))
        ahead = self.desk.runs.waiting_time(self.desk.jobs.tickets())
        return cost_card(upload.look, settings, self.desk.rates, ahead, upload.people)

    def leave(self, request: gr.Request) -> None:
        """The tab was closed."""
        self.desk.leave(caller_of(request).session)

    # ---- serving -------------------------------------------------------------------------------------------------

    def launch(self, **options: Any) -> Any:
        """Serve the page as its desk's configuration says."""
        config = self.desk.config
        theme = gr.themes.Base(font=SYSTEM_FONTS, font_mono=("ui-monospace", "monospace"), radius_size="lg")
        self.blocks.queue(max_size=64, default_concurrency_limit=8)
        os.environ["FORWARDED_ALLOW_IPS"] = ""  # the guard alone decides whose X-Forwarded headers count
        return self.blocks.launch(
            server_name=config.host,
            server_port=config.port,
            allowed_paths=[str(path) for path in self.desk.served],
            max_file_size=int(config.max_upload_mb * 1e6),
            state_session_capacity=SESSIONS_KEPT,
            mcp_server=config.mcp,
            ssr_mode=False,
            theme=theme,
            css=part("page.css"),
            head=head(),
            footer_links=["api"],
            app_kwargs={"lifespan": self._guarded},
            **options,
        )

    @contextlib.asynccontextmanager
    async def _guarded(self, app: Any) -> AsyncIterator[None]:
        """Puts the guard around the application once Gradio has built it: the start is the only moment to do so."""
        config = self.desk.config
        calls = self.blocks._queue.pending_event_ids_session
        rules = Rules(
            upload_bytes=int(config.max_upload_mb * 1e6),
            proxies=config.trusted_proxies,
            hosts=frozenset(host.strip().lower() for host in config.hosts.split(",") if host.strip()),
            mcp=config.mcp,
            functions=lambda: self.blocks.fns,
            names=lambda: {fn.api_name for fn in self.blocks.fns.values() if fn.api_visibility == "public"},
            servers=lambda: self.ui.servers,
            calls=lambda session: calls.get(session, ()),
        )
        page = LinkPreview(KeptFiles(app.middleware_stack, [viewer.BUNDLE]), self.desk)
        app.middleware_stack = Guard(page, self.desk, rules)
        self.desk.presence.watched = True
        connections = Connections(lambda: getattr(self.blocks, "server", None), open_files())
        watching = asyncio.create_task(connections.watch())
        yield
        watching.cancel()
