"""The main job for programs: a typed, documented endpoint /reconstruct, which is an MCP tool too when that is on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import gradio as gr

from josh_core.clip.look import FIRST_WINDOW
from josh_core.errors import JobError
from josh_core.page.runs import Order
from josh_core.page.service import PageService
from josh_core.page.visitors.caller import Caller
from josh_core.page.visitors.inputs import number
from josh_core.serving.visitor_errors import visitor_error
from josh_core.settings import MODES, Settings, StaticCamera, Tier

FILES = ("result.glb", "arrays.npz", "manifest.json")


async def _original_path(path: str | Path | None) -> str | None:
    """A file's own path, in place of Gradio's copy of it; Gradio has checked before that it may be served."""
    return None if path is None else str(path)


def refusal(error: Exception) -> gr.Error:
    """The error as the page and the API show it, always a sentence."""
    return gr.Error(str(visitor_error(error)), title="That did not work", print_exception=False)


def caller_of(request: gr.Request, program: bool = False) -> Caller:
    """The caller of a request."""
    client = request.client.host if request.client else ""
    return Caller(str(request.session_hash), client, program)


def event_text(event: gr.EventData, name: str) -> str:
    """A text field of an event; "" where the caller has left it out."""
    return str(getattr(event, name, "")) if isinstance(event._data, dict) else ""


@dataclass(frozen=True)
class Asked:
    """The options of an API call, whatever a program has sent for them; numbers may be None, and 0 is "not known"."""

    mode: object = Settings.mode
    start: object = 0
    seconds: object = None
    people: object = None
    height_m: object = None
    focal_px: object = None
    turn: object = None
    static_camera: object = Settings.static_camera
    tier: object = Settings.tier

    def settings(self) -> Settings:
        """As settings of a run. Raises SettingsError."""
        return Settings().with_options(
            mode=self.mode,
            start=number(self.start),
            seconds=number(self.seconds) or None,
            people=int(number(self.people)) or None,
            height_m=number(self.height_m) or None,
            focal_px=number(self.focal_px) or None,
            # A whole number, as the page gives it: it is a part of the key under which a run is stored.
            turn=int(angle) if (angle := number(self.turn)).is_integer() else angle,
            static_camera=self.static_camera,
            tier=self.tier,
        )


def add_endpoint(service: PageService) -> None:
    """Add the endpoint to the gr.Blocks under construction."""

    async def reconstruct(  # noqa: PLR0913, PLR0917  the arguments are the API
        clip: str,
        mode: str = Settings.mode,  # as on the page and the command line
        start: float = 0.0,
        seconds: float | None = FIRST_WINDOW,
        people: float | None = None,
        height_m: float | None = None,
        focal_px: float | None = None,
        turn: float | None = Settings.turn,
        static_camera: str = Settings.static_camera,
        tier: str = Settings.tier,
        request: gr.Request = None,  # type: ignore[assignment]  # Gradio gives it
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
            turn: degrees clockwise by which to turn the video first: 0, 90, 180 or 270
            static_camera: on (the camera stands still), off (it moves) or auto (found out)
            tier: networks to run: auto (the best there are), embedded (built in) or hub (the paper's)

        Returns:
            the manifest of the result with its link, and the files result.glb, arrays.npz, manifest.json
        """
        caller = caller_of(request, program=True)
        try:
            asked = Asked(mode, start, seconds, people, height_m, focal_px, turn, static_camera, tier)
            return _reply(service, caller, await _finished(service, caller, clip, asked.settings(), progress))
        except Exception as error:
            raise refusal(error) from None
        finally:
            service.leave(caller.session)

    take, give = _components()
    gr.Button(visible=False).click(
        reconstruct, take, give, api_name="reconstruct", concurrency_limit=None, show_progress="hidden"
    )


def _components() -> tuple[list[Any], list[Any]]:
    """Inputs and outputs of the endpoint; their labels are the parameters' names in its documentation."""

    def choice(name: str, choices: Sequence[str]) -> gr.Radio:
        return gr.Radio(list(choices), value=getattr(Settings, name), label=name, visible=False)

    def number_field(name: str, value: float | None) -> gr.Number:
        return gr.Number(value, label=name, visible=False)

    take = [
        gr.File(label="clip", visible=False),
        choice("mode", MODES),
        number_field("start", 0),
        number_field("seconds", FIRST_WINDOW),
        number_field("people", None),
        number_field("height_m", None),
        number_field("focal_px", None),
        number_field("turn", Settings.turn),
        choice("static_camera", get_args(StaticCamera)),
        choice("tier", get_args(Tier)),
    ]
    files = gr.File(label="files", file_count="multiple", visible=False)
    # Else Gradio copies the files of every reply into the uploads; for a subclass it would write a stub beside this.
    files.async_move_resource_to_block_cache = _original_path  # type: ignore[method-assign,assignment]
    return take, [gr.JSON(label="result", visible=False), files]


async def _finished(
    service: PageService, caller: Caller, clip: str, settings: Settings, progress: gr.Progress
) -> Order:
    """Take the clip, run it and wait until the result is there. Raises JoshError."""
    upload = await service.take(caller, clip, Path(str(clip)).name)
    order = await asyncio.to_thread(service.runs.order, caller, upload, settings)
    async for _ in service.runs.follow(order):
        if order.whole:  # what a run makes after its result is made when somebody asks for it
            break
        if order.ticket is not None and order.ticket.state == "running":
            progress(order.ticket.fraction, desc=order.ticket.stage)
    if not order.whole:
        raise (order.ticket and order.ticket.error) or JobError("The run gave no result; please try again.")
    return order


def _reply(service: PageService, caller: Caller, order: Order) -> tuple[dict[str, Any], list[str]]:
    """The manifest with link and delete key, and the files' paths."""
    shown, mode = service.open({"run": order.run}), order.settings.mode
    assert shown is not None
    owned = service.owned(caller.session, shown)
    access = {"link": f"/?{shown.query}", "delete_key": owned.delete_key if owned else ""}
    return shown.manifest(mode) | access, [str(shown.folders[mode] / name) for name in FILES]
