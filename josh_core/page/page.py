"""The page: a clip goes in on the left, its 4D result plays on the right. No algorithm lives here, only wiring."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import gradio as gr
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from josh_core import viewer
from josh_core.errors import Cancelled, JoshError
from josh_core.page.api import add_endpoint, caller_of, event_text, refusal
from josh_core.page.blocks import Blocks
from josh_core.page.link_preview import SITE_TITLE, LinkPreview
from josh_core.page.owner_buttons import OwnerButtons
from josh_core.page.parts import markup
from josh_core.page.parts.components import head, page_file
from josh_core.page.parts.cost import cost_card
from josh_core.page.parts.files import files_list, overlay_part
from josh_core.page.parts.layout import HIDDEN, Layout, Updates
from josh_core.page.parts.plots import plots
from josh_core.page.protection.connections import Connections
from josh_core.page.protection.guard import Guard
from josh_core.page.protection.rate_limits import CALL_PLACES, SESSIONS_KEPT
from josh_core.page.protection.request_rules import Rules
from josh_core.page.protection.response_cache import FileCache
from josh_core.page.protection.unheard import Unheard
from josh_core.page.run_buttons import RunButtons
from josh_core.page.runs import LISTEN_GRACE
from josh_core.page.service import PageService
from josh_core.page.shown_run import ShownRun, viewer_value
from josh_core.page.visitors.inputs import Upload, chosen_clip, settings_from_inputs
from josh_core.serving.processes import open_files
from josh_core.serving.visitor_errors import visitor_error

SYSTEM_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")


async def _unreadable(_request: object, _error: Exception) -> JSONResponse:
    """In place of FastAPI's own answer, which repeats what was sent and fails at what JSON cannot say, such as NaN."""
    sentence = "This request cannot be read; please look at the API's page for what it takes."
    return JSONResponse({"detail": sentence}, 422)


def _reach_without_proxy(*hosts: str) -> None:
    """Keep this process from asking a proxy for its own page, as Gradio does at the start."""
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), *hosts]))


class Page:
    """Layout and wiring of the page of one service."""

    def __init__(self, service: PageService) -> None:
        self.service = service
        os.environ["GRADIO_TEMP_DIR"] = str(service.uploads)  # where Gradio puts uploads and copies
        with Blocks(title=SITE_TITLE, analytics_enabled=False, fill_width=True) as blocks:
            self.blocks = blocks
            self.ui = Layout(service.config, service.examples, self.request_file)
            self._wire()
            add_endpoint(service)

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
        RunButtons(self.service, ui, self.present, self.emptied, self.show_cost).wire(quiet)
        OwnerButtons(self.service, ui, self.emptied).wire(quiet)

    def present(self, shown: ShownRun, query: Mapping[str, str]) -> Iterator[Updates]:
        """Updates that put a run on the page: first the viewer, then all of it.

        Gradio's page can drop an update that another one follows at once, so the last says everything.
        """
        first = {
            self.ui.viewer: viewer_value(shown, query),
            self.ui.query: shown.query,
            self.ui.share: gr.update(visible=True),
            self.ui.link: gr.update(visible=HIDDEN),
            self.ui.notice: "",
            self.ui.quality: markup.quality_table(shown),
        }
        yield first
        coming = self.service.runs.upcoming_files(shown.id)
        yield first | {
            self.ui.plots: plots(shown),
            self.ui.film: overlay_part(shown, coming),
            self.ui.files: files_list(shown, coming),
            self.ui.details: markup.details(shown),
        }

    def request_file(self, request: Any) -> dict[str, Any]:
        """State of the file that a button requests (files_on_demand.py), or {problem}."""
        try:
            return self.service.request_file(request)
        except Exception as error:
            return {"problem": str(visitor_error(error))}

    def emptied(self, message: str) -> Updates:
        """Updates that empty the result side and show `message` there."""
        empty = dict.fromkeys((self.ui.quality, self.ui.plots, self.ui.film, self.ui.files, self.ui.details), "")
        return empty | {
            self.ui.viewer: {"message": message},
            self.ui.query: "",
            self.ui.share: gr.update(visible=HIDDEN),
            self.ui.link: gr.update(visible=HIDDEN),
        }

    def open_link(self, request: gr.Request) -> Iterator[Updates]:
        """Show the run that the page's address names, else the first example."""
        yield from self._open(dict(request.query_params), caller_of(request).session)

    def open_named(self, event: gr.EventData, request: gr.Request) -> Iterator[Updates]:
        """Show the run that the address names after back or forward, or one of the visitor's own results."""
        yield from self._open(dict(parse_qsl(event_text(event, "query"))), caller_of(request).session)

    def _open(self, query: Mapping[str, str], session: str) -> Iterator[Updates]:
        try:
            shown = self.service.open(query, session) or next(iter(self.service.examples.values()), None)
            if shown is None:
                yield self.emptied("Choose a clip on the left, and its people and place will appear here.")
            else:
                yield from self.present(shown, query)
        except Exception as error:
            yield self.emptied(str(visitor_error(error)))

    def open_example(self, event: gr.EventData) -> Iterator[Updates]:
        """Show a stored example."""
        try:
            shown = self.service.open({"example": event_text(event, "example")})
            assert shown is not None
            yield from self.present(shown, {})
        except Exception as error:
            raise refusal(error) from None

    async def take_upload(self, request: gr.Request, clip: Any, *options: Any) -> AsyncIterator[Updates]:
        """Check an upload: facts, picture strip, cost, then the number of people; or why it cannot be used."""
        ui, caller = self.ui, caller_of(request)
        sent = clip if isinstance(clip, dict) else {}
        name, file = str(sent.get("name") or ""), sent.get("file")
        try:
            upload = await self.service.take(caller, file.get("path") if isinstance(file, dict) else None, name)
        except Cancelled:
            return
        except Exception as error:
            shown_error = visitor_error(error)
            yield {ui.clip: {"problem": str(shown_error)}, ui.upload: None, ui.go: gr.update(interactive=False)}
            return
        value = chosen_clip(upload, name)
        visitor = self.service.visitors.get(caller.session)
        visitor.chosen = upload.path
        updates: Updates = {ui.clip: value}
        if not self.service.jobs.tickets():  # a device is free to look for people, which takes a moment
            yield updates | {ui.cost: self.show_cost(value, upload, *options)}
            upload, updates = await self.service.count(upload), {}
        # Run is offered last: Gradio's page can lose an event that begins just as another one ends.
        if visitor.chosen == upload.path:
            cost = self.show_cost(value, upload, *options)
            yield updates | {ui.upload: upload, ui.cost: cost, ui.go: gr.update(interactive=True)}

    def drop_upload(self, request: gr.Request) -> Updates:
        """The visitor wants another clip."""
        visitor = self.service.visitors.known(caller_of(request).session)
        if visitor is not None:
            visitor.chosen = None
        return {self.ui.upload: None, self.ui.cost: "", self.ui.go: gr.update(interactive=False)}

    def show_cost(self, clip: Any, upload: Upload | None, *options: Any) -> str:
        """The card with the expected time of a run."""
        if upload is None:
            return ""
        try:
            settings = settings_from_inputs(clip, upload, *options)
        except JoshError as error:
            return markup.problem(str(error))
        ahead = self.service.runs.waiting_time(self.service.jobs.tickets())
        return cost_card(upload.look, settings, self.service.rates, ahead, upload.people)

    def leave(self, request: gr.Request) -> None:
        """The tab was closed."""
        self.service.leave(caller_of(request).session)

    def _under_way(self, network: str) -> int:
        """How many calls of a network Gradio runs or has waiting."""
        queue = self.blocks._queue
        running = [event for job in queue.active_jobs for event in job or ()]
        waiting = [event for line in queue.event_queue_per_concurrency_id.values() for event in line.queue]
        return sum(event.request.client.host == network for event in (*running, *waiting))

    def launch(self, **options: Any) -> Any:
        """Serve the page as its service's configuration says."""
        config = self.service.config
        theme = gr.themes.Base(font=SYSTEM_FONTS, font_mono=("ui-monospace", "monospace"), radius_size="lg")
        self.blocks.queue(max_size=64, default_concurrency_limit=8)
        os.environ["FORWARDED_ALLOW_IPS"] = ""  # the guard alone decides whose X-Forwarded headers count
        _reach_without_proxy("localhost", config.host)
        return self.blocks.launch(
            _frontend=False,  # else Gradio asks for the page once it is served, and ends if that takes 3 s
            server_name=config.host,
            server_port=config.port,
            allowed_paths=[str(path) for path in self.service.served],
            max_file_size=int(config.max_upload_mb * 1e6),
            state_session_capacity=SESSIONS_KEPT,
            max_threads=CALL_PLACES,
            mcp_server=config.mcp,
            ssr_mode=False,
            theme=theme,
            css=page_file("page.css"),
            head=head(),
            footer_links=["api"],
            app_kwargs={"lifespan": self._guarded, "exception_handlers": {RequestValidationError: _unreadable}},
            **options,
        )

    @contextlib.asynccontextmanager
    async def _guarded(self, app: Any) -> AsyncIterator[None]:
        """Puts the guard around the application once Gradio has built it: the start is the only moment to do so."""
        config = self.service.config
        calls = self.blocks._queue.pending_event_ids_session
        rules = Rules(
            upload_bytes=int(config.max_upload_mb * 1e6),
            proxies=config.trusted_proxies,
            hosts=frozenset(host.strip().lower() for host in config.hosts.split(",") if host.strip()),
            mcp=config.mcp,
            functions=lambda: {number for number, fn in self.blocks.fns.items() if fn.fn is not None},
            names=lambda: {fn.api_name for fn in self.blocks.fns.values() if fn.api_visibility == "public"},
            servers=lambda: self.ui.servers,
            calls=lambda session: calls.get(session, ()),
            under_way=self._under_way,
        )
        page = LinkPreview(FileCache(app.middleware_stack, [viewer.BUNDLE]), self.service)
        app.middleware_stack = Guard(page, self.service, rules)
        self.service.presence.watched = True
        connections = Connections(lambda: getattr(self.blocks, "server", None), open_files())
        unheard = Unheard(self.blocks._queue, self.service.presence.is_connected, LISTEN_GRACE)
        watching = [asyncio.create_task(each.watch()) for each in (connections, unheard)]
        yield
        for task in watching:
            task.cancel()
