"""The page: a clip goes in on the left, its 4D result plays on the right. No algorithm lives here, only wiring.

`python app.py` serves it; josh_core/page/config.py lists the environment variables.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import gradio as gr

from josh_core.errors import Cancelled, ClipError, JoshError
from josh_core.page import words
from josh_core.page.config import Config
from josh_core.page.desk import Desk, Order, Upload, wanted
from josh_core.page.files import files_list
from josh_core.page.parts import clip_input, gallery, head, part, plain, result_viewer
from josh_core.page.plots import plots
from josh_core.page.preview import FIRST_WINDOW, cost_card
from josh_core.page.shown import MODES, Shown, clean_view, film_of, viewer_value
from josh_core.settings import Settings
from josh_core.work import reconstruct

HERE = Path(__file__).resolve().parent
POLL = 0.4  # s between two looks at a running job
SYSTEM_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")
Updates = dict[Any, Any]


def refusal(error: JoshError) -> gr.Error:
    """The error as the page shows it; nothing goes to the log."""
    return gr.Error(str(error), title="That did not work", print_exception=False)


class Page:
    """Layout and wiring of one page on one desk."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        os.environ["GRADIO_TEMP_DIR"] = str(desk.uploads)  # where Gradio puts uploads and copies
        title = "JOSH: people and places in 4D"
        with gr.Blocks(title=title, analytics_enabled=False, fill_width=True, delete_cache=(600, 3600)) as blocks:
            self.blocks = blocks
            self.upload = gr.State(None)
            self.query = gr.State("")
            plain(part("head.html"))
            with gr.Row(elem_id="j-columns"):
                with gr.Column(elem_id="j-left"):
                    self._lay_out_inputs()
                with gr.Column(elem_id="j-right"):
                    self._lay_out_result()
            plain(part("what.html"))
            self._wire()
            self._offer_api()

    # ---- layout --------------------------------------------------------------------------------------------------

    def _lay_out_inputs(self) -> None:
        self.clip = clip_input(self.desk.config.max_upload_mb)
        choices = [(label, name) for name, (label, _) in MODES.items()]
        self.mode = gr.Radio(choices, value="refine", label="Method", elem_id="j-mode")
        with gr.Accordion("Advanced", open=False):
            self.people = gr.Number(None, label="Most people to follow", minimum=1, maximum=20, precision=0)
            self.height = gr.Number(None, label="Height of the first person (m), if known", minimum=0.5, maximum=2.5)
            self.view = gr.Number(None, label="Horizontal field of view (degrees), if known", minimum=5, maximum=150)
            camera = [("Find out", "auto"), ("Stands still", "on"), ("Moves", "off")]
            self.static = gr.Radio(camera, value="auto", label="Camera")
            tiers = [("Best there is", "auto"), ("Built in", "embedded"), ("Networks of the paper", "hub")]
            self.tier = gr.Radio(tiers, value="auto", label="Networks")
        self.cost = plain(elem_id="j-cost", visible=False)
        self.progress = plain(elem_id="j-progress", visible=False)
        self.go = gr.Button("Run", variant="primary", size="lg", interactive=False, elem_id="j-run")
        self.stop = gr.Button("Cancel", size="lg", visible=False, elem_id="j-cancel")
        self.gallery = gallery(self.desk.examples)
        self.options = [self.mode, self.people, self.height, self.view, self.static, self.tier]

    def _lay_out_result(self) -> None:
        self.viewer = result_viewer()
        with gr.Row(elem_id="j-share-row"):
            self.share = gr.Button("Share this view", elem_id="j-share", scale=0, min_width=170)
            self.link = gr.Textbox(visible=False, label="Link", interactive=False, buttons=["copy"], elem_id="j-link")
        self.notice = plain(elem_id="j-notice", visible=False)
        self.origin, self.link_view = gr.Textbox(visible=False), gr.Textbox(visible=False)
        with gr.Tabs():
            with gr.Tab("How good is it?"):
                self.quality = plain(elem_id="j-quality")
            with gr.Tab("From above"):
                self.plots = plain(elem_id="j-plots")
            with gr.Tab("Overlay video"):
                self.film = plain(elem_id="j-film")
            with gr.Tab("Files"):
                self.files = plain(elem_id="j-files")
            with gr.Tab("Details"):
                self.details = plain(elem_id="j-details")
                with gr.Accordion("Delete this result", open=False):
                    self.delete_key = gr.Textbox(label="Delete key", info="Not needed in the tab that made the result.")
                    self.delete = gr.Button("Delete for good", size="sm", variant="stop", elem_id="j-delete")
        self.result = [self.viewer, self.query, self.share, self.link, self.notice]
        self.result += [self.quality, self.plots, self.film, self.files, self.details]

    def _wire(self) -> None:
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        running = [self.progress, self.go, self.stop, self.cost, *self.result]
        self.blocks.load(self.open_link, outputs=self.result, concurrency_limit=None, **quiet)
        self.blocks.unload(self.leave)
        chosen = [self.clip, self.upload, self.cost, self.go]
        self.clip.upload(self.take_upload, [self.clip, *self.options], chosen, **quiet)
        self.clip.clear(self.drop_upload, outputs=chosen, **quiet)
        changed: list[Any] = [option.change for option in self.options]  # type: ignore[attr-defined]  # made at run time
        costs = [self.clip.select, *changed]
        gr.on(costs, self.show_cost, [self.clip, self.upload, *self.options], self.cost, **quiet)
        self.gallery.select(self.open_example, outputs=self.result, concurrency_limit=None, **quiet)
        self.go.click(self.run, [self.clip, self.upload, *self.options], running, concurrency_limit=None, **quiet)
        self.stop.click(self.cancel, outputs=self.stop, concurrency_limit=None, **quiet)
        told = [self.query, self.origin, self.link_view]
        js = "(query) => [query, location.origin + location.pathname, window.joshViewer?.link ?? '']"
        self.share.click(self.share_view, told, [self.link, self.notice], js=js, **quiet)
        self.delete.click(self.delete_run, [self.query, self.delete_key], self.result, **quiet)

    # ---- results -------------------------------------------------------------------------------------------------

    def present(self, shown: Shown, query: Mapping[str, str]) -> Iterator[Updates]:
        """Updates that put a run on the page: first the viewer, then the rest."""
        yield {
            self.viewer: viewer_value(shown, query),
            self.query: shown.query,
            self.share: gr.update(visible=True),
            self.link: gr.update(visible=False),
            self.notice: gr.update(visible=False),
            self.quality: words.quality_table(shown),
        }
        film = film_of(shown, shown.best)
        yield {
            self.plots: plots(shown),
            self.film: words.film(film, "The bodies over the clip, through the recovered camera."),
            self.files: files_list(shown),
            self.details: words.details(shown),
        }

    def nothing(self, message: str) -> Updates:
        """Updates that empty the result side and say why."""
        empty = {part: "" for part in (self.quality, self.plots, self.film, self.files, self.details)}
        return empty | {
            self.viewer: {"message": message},
            self.query: "",
            self.share: gr.update(visible=False),
            self.link: gr.update(visible=False),
        }

    def open_link(self, request: gr.Request) -> Iterator[Updates]:
        """What the page's address asks for, else the first example."""
        query = dict(request.query_params)
        try:
            shown = self.desk.open(query)
        except JoshError as error:
            yield self.nothing(str(error))
            return
        shown = shown or next(iter(self.desk.examples.values()), None)
        if shown is None:
            yield self.nothing("Choose a clip on the left, and its people and place will appear here.")
            return
        yield from self.present(shown, query)

    def open_example(self, event: gr.EventData) -> Iterator[Updates]:
        """Show a stored example."""
        try:
            shown = self.desk.open({"example": str(event.example)})
        except JoshError as error:
            raise refusal(error) from None
        assert shown is not None
        yield from self.present(shown, {})

    def share_view(self, query: str, origin: str, view: str, request: gr.Request) -> Updates:
        """Keep the run and make a link to it as it is seen now."""
        try:
            shown = self.desk.open(dict(parse_qsl(query)))
            if shown is None:
                raise ClipError("There is nothing to share yet; open an example or run a clip.")
            shown = self.desk.share(shown)
        except JoshError as error:
            raise refusal(error) from None
        link = f"{origin}?{shown.query}&{urlencode(clean_view(dict(parse_qsl(view))), safe=',')}"
        key = self.desk.visitor(str(request.session_hash)).delete_keys.get(shown.id)
        said = [f"Only you can delete it, with this key: <code>{key}</code>"] if key else []
        return {
            self.link: gr.update(value=link, visible=True),
            self.notice: gr.update(value=words.card(said), visible=bool(said)),
        }

    def delete_run(self, query: str, key: str, request: gr.Request) -> Updates:
        """Remove a run for its owner."""
        try:
            shown = self.desk.open(dict(parse_qsl(query)))
            if shown is None:
                raise ClipError("There is nothing to delete.")
            own = self.desk.visitor(str(request.session_hash)).delete_keys.get(shown.id, "")
            self.desk.delete(shown, key.strip() or own)
        except JoshError as error:
            raise refusal(error) from None
        return self.nothing("The result is deleted.")

    # ---- clip and cost -------------------------------------------------------------------------------------------

    def take_upload(self, request: gr.Request, clip: Any, *options: Any) -> Iterator[Updates]:
        """Look at what was uploaded: facts, strip, cost; or say why it cannot be used."""
        sent = (clip or {}).get("file") or {}
        try:
            upload = self.desk.take(str(request.session_hash), sent.get("path"))
        except JoshError as error:
            yield {self.clip: {"problem": str(error)}, self.upload: None, self.go: gr.update(interactive=False)}
            raise refusal(error) from None
        seconds = upload.look.seconds
        longest = min(seconds, Settings.max_seconds)
        value = {
            "name": str((clip or {}).get("name"))[:80],
            "seconds": seconds,
            "strip": upload.look.strip,
            "start": 0,
            "length": min(FIRST_WINDOW, longest),
            "longest": longest,
        }
        cost = self.show_cost(value, upload, *options)
        yield {self.clip: value, self.upload: upload, self.cost: cost, self.go: gr.update(interactive=True)}

    def drop_upload(self) -> Updates:
        """The visitor wants another clip."""
        return {self.upload: None, self.cost: gr.update(visible=False), self.go: gr.update(interactive=False)}

    def show_cost(self, clip: Any, upload: Upload | None, *options: Any) -> Any:
        """The card of what a run takes."""
        if upload is None:
            return gr.update(visible=False)
        try:
            settings = wanted(clip, upload, *options)
        except JoshError as error:
            return gr.update(value=words.problem(str(error)), visible=True)
        ahead = self.desk.waiting_time(self.desk.jobs.tickets())
        return gr.update(value=cost_card(upload.look, settings, self.desk.rates, ahead, None), visible=True)

    # ---- running -------------------------------------------------------------------------------------------------

    async def run(self, request: gr.Request, clip: Any, upload: Any, *options: Any) -> AsyncIterator[Updates]:
        """Run the clip, telling how far it is, and show the result; or say why there is none."""
        session = str(request.session_hash)
        try:
            if upload is None:
                raise ClipError("Choose a clip first, or open an example.")
            settings = wanted(clip, upload, *options)
            order = await asyncio.to_thread(self.desk.order, session, upload, settings)
            async for card in self.follow(order):
                yield self.running(True) | {self.progress: gr.update(value=card, visible=True)}
            shown = self.desk.open({"run": order.found or self.desk.finish(session, order)})
        except JoshError as error:
            calm = words.card(["Cancelled; nothing was kept."])
            said = calm if isinstance(error, Cancelled) else words.problem(str(error))
            yield self.running(False) | {self.progress: gr.update(value=said, visible=True)}
            if isinstance(error, Cancelled):
                return
            raise refusal(error) from None
        assert shown is not None
        yield self.running(False) | {self.progress: gr.update(visible=False)}
        for update in self.present(shown, {}):
            yield update

    async def follow(self, order: Order) -> AsyncIterator[str]:
        """Progress cards until the order is done. If nobody listens any more, the job is stopped."""
        said = ""
        try:
            while order.ticket is not None and not order.ticket.over:
                card = self.desk.progress(order)
                if card != said:
                    said = card
                    yield card
                await asyncio.sleep(POLL)
        except (asyncio.CancelledError, GeneratorExit):
            self.desk.abandon(order)
            raise

    def running(self, on: bool) -> Updates:
        """Run and Cancel change places."""
        return {self.go: gr.update(visible=not on), self.stop: gr.update(visible=on, interactive=on, value="Cancel")}

    def cancel(self, request: gr.Request) -> Any:
        """Ask the visitor's job to stop; `run` tells when it has."""
        ticket = self.desk.visitor(str(request.session_hash)).ticket
        if ticket is not None:
            self.desk.jobs.cancel(ticket)
        return gr.update(interactive=False, value="Stopping …")

    def leave(self, request: gr.Request) -> None:
        """The tab was closed."""
        self.desk.leave(str(request.session_hash))

    # ---- API and serving -----------------------------------------------------------------------------------------

    def _offer_api(self) -> None:
        """The main job for programs, typed and documented, under /reconstruct."""
        take = [
            gr.File(label="clip", visible=False),
            gr.Radio(list(MODES), value="fast", label="mode", visible=False),
            gr.Number(0, label="start", visible=False),
            gr.Number(FIRST_WINDOW, label="seconds", visible=False),
            gr.Number(None, label="people", visible=False),
            gr.Number(None, label="height_m", visible=False),
            gr.Number(None, label="focal_px", visible=False),
        ]
        give = [gr.JSON(label="result", visible=False), gr.File(label="files", file_count="multiple", visible=False)]
        gr.Button(visible=False).click(
            self.reconstruct, take, give, api_name="reconstruct", concurrency_limit=None, show_progress="hidden"
        )

    async def reconstruct(  # noqa: PLR0913, PLR0917  the arguments are the API
        self,
        clip: str,
        mode: str = "fast",
        start: float = 0.0,
        seconds: float | None = FIRST_WINDOW,
        people: int | None = None,
        height_m: float | None = None,
        focal_px: float | None = None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  how Gradio finds it
    ) -> tuple[dict[str, Any], list[str]]:
        """Reconstruct camera, people and scene of a video in one metric world (+Y up, metres).

        Args:
            clip: a video file (MP4, MOV, WebM, AVI) of people filmed by one camera
            mode: baseline (assembly line), fast (scale from contact) or refine (JOSH, joint optimisation)
            start: seconds into the video where to begin
            seconds: how many seconds to take, at most 60
            people: most people to follow; empty for all
            height_m: height of the first person in metres, if known
            focal_px: focal length in pixels of the video scaled to at most 1280 px, if known

        Returns:
            the manifest of the result with its share query, and the files result.glb, arrays.npz, manifest.json
        """
        session = f"api-{os.urandom(8).hex()}"
        try:
            upload = await asyncio.to_thread(self.desk.take, session, clip)
            count = int(people) if people else None
            options = {"people": count, "height_m": height_m or None, "focal_px": focal_px or None}
            settings = Settings().with_options(mode=mode, start=start or 0.0, seconds=seconds or None, **options)
            order = await asyncio.to_thread(self.desk.order, session, upload, settings)
            async for _ in self.follow(order):
                if order.ticket is not None and order.ticket.state == "running":
                    progress(order.ticket.fraction, desc=order.ticket.stage)
            shown = self.desk.open({"run": order.found or self.desk.finish(session, order)})
        except JoshError as error:
            raise refusal(error) from None
        finally:
            self.desk.leave(session)
        assert shown is not None
        folder = shown.folders[mode]
        files = [str(folder / name) for name in ("result.glb", "arrays.npz", "manifest.json")]
        return shown.manifest(mode) | {"link": f"/?{shown.query}"}, files

    def launch(self, **options: Any) -> Any:
        """Serve the page as its desk's configuration says."""
        config = self.desk.config
        theme = gr.themes.Base(font=SYSTEM_FONTS, font_mono=("ui-monospace", "monospace"), radius_size="lg")
        self.blocks.queue(max_size=64, default_concurrency_limit=8)
        return self.blocks.launch(
            server_name=config.host,
            server_port=config.port,
            allowed_paths=[str(path) for path in self.desk.served],
            max_file_size=int(config.max_upload_mb * 1e6),
            mcp_server=config.mcp,
            ssr_mode=False,
            theme=theme,
            css=part("page.css"),
            head=head(),
            footer_links=["api"],
            **options,
        )


def main() -> int:
    """Serve the page until it is stopped."""
    try:
        desk = Desk(Config.from_environment(), reconstruct, HERE / "examples")
    except JoshError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201  the only word to whoever starts the program
        return 2
    try:
        Page(desk).launch()
    finally:
        desk.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
