"""The page's components and where they stand: inputs on the left, the result on the right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from josh_core.networks.weights import JOSH3R, MAST3R, choose_tier, find
from josh_core.page.config import Config
from josh_core.page.parts.components import (
    about,
    clip_input,
    file_requests,
    gallery,
    html,
    my_results,
    page_file,
    result_viewer,
)
from josh_core.page.shown_run import MODE_TEXTS, ShownRun, viewer_value
from josh_core.settings import Settings

Updates = dict[Any, Any]  # of components, as Gradio takes them from an event
HIDDEN: Any = "hidden"  # in the page but not seen; visible=False would take the component out of it


class Layout:
    """Builds the components inside the current gr.Blocks and holds them by name."""

    def __init__(
        self, config: Config, examples: Mapping[str, ShownRun], request_file: Callable[[Any], dict[str, Any]]
    ) -> None:
        self.upload = gr.State(None)  # inputs.Upload
        self.query = gr.State("")  # what a link to the run on show says
        html(page_file("head.html"))
        with gr.Row(elem_id="j-columns"):
            with gr.Column(elem_id="j-left"):
                self._inputs(config, examples)
            with gr.Column(elem_id="j-right"):
                self._scene(next(iter(examples.values()), None))
            with gr.Column(elem_id="j-more"):
                self._tabs(request_file)

    def _inputs(self, config: Config, examples: Mapping[str, ShownRun]) -> None:
        self.clip = clip_input(config.max_upload_mb)
        choices = [(f"{label}: {short}", name) for name, (label, short, _) in MODE_TEXTS.items()]
        self.mode = gr.Radio(choices, value=Settings.mode, label="Method", elem_id="j-mode")
        with gr.Accordion("Advanced", open=False):
            # 0 stands for "not known": Gradio makes it of an empty number. Limits are checked by settings_from_inputs.
            self.people = gr.Number(0, label="Most people to follow", info="0 follows everybody", precision=0)
            self.height = gr.Number(0, label="Height of the first person, m", info="Leave 0 if you do not know it")
            self.view = gr.Number(0, label="Horizontal field of view, degrees", info="Leave 0 if you do not know it")
            camera = [("Find out", "auto"), ("Stands still", "on"), ("Moves", "off")]
            self.static = gr.Radio(camera, value="auto", label="Camera")
            turns = [("Not", 0), ("90° right", 90), ("Upside down", 180), ("90° left", 270)]
            self.turn = gr.Radio(turns, value=0, label="Turn the picture")
            tiers, sentence = _tiers()
            self.tier = gr.Radio(tiers, value="auto", label="Networks", info=sentence)
        self.cost = html(elem_id="j-cost")
        self.progress = html(elem_id="j-progress")
        self.found = html(elem_id="j-found")
        self.go = gr.Button("Run", variant="primary", size="lg", interactive=False, elem_id="j-run")
        self.stop = gr.Button("Cancel", size="lg", visible="hidden", elem_id="j-cancel")
        self.mine = my_results()
        self.gallery = gallery(examples)
        about()
        self.options = [self.mode, self.people, self.height, self.view, self.static, self.tier, self.turn]

    def _scene(self, first: ShownRun | None) -> None:
        self.viewer = result_viewer(viewer_value(first, {}) if first else None)
        with gr.Row(elem_id="j-share-row"):
            self.share = gr.Button("Share this view", elem_id="j-share", scale=0, min_width=170)
            self.link = gr.Textbox(
                visible="hidden", label="Link", interactive=False, buttons=["copy"], elem_id="j-link"
            )
        self.notice = html(elem_id="j-notice")
        self.origin, self.link_view = gr.Textbox(visible=False), gr.Textbox(visible=False)
        self.own_key = gr.Textbox(visible=False)  # the delete key that this browser keeps of the run on show

    def _tabs(self, request_file: Callable[[Any], dict[str, Any]]) -> None:
        with gr.Tabs():
            with gr.Tab("How good is it?"):
                self.quality = html(elem_id="j-quality")
            with gr.Tab("From above"):
                self.plots = html(elem_id="j-plots")
            with gr.Tab("Overlay video") as self.film_tab:
                self.film = file_requests(request_file, "j-film")
            with gr.Tab("Files"):
                self.files = file_requests(request_file, "j-files")
            with gr.Tab("Details"):
                self.details = html(elem_id="j-details")
                with gr.Accordion("Delete this result", open=False):
                    self.delete_key = gr.Textbox(
                        label="Delete key", info="Not needed in the browser that made the result."
                    )
                    self.delete = gr.Button("Delete for good", size="sm", variant="stop", elem_id="j-delete")
                    with gr.Row(visible="hidden", elem_id="j-sure") as self.sure:
                        html("<b>Really delete? Nobody can bring it back.</b>")
                        self.delete_yes = gr.Button("Yes, delete", size="sm", variant="stop", elem_id="j-delete-yes")
                        self.delete_no = gr.Button("No", size="sm", elem_id="j-delete-no")
        self.servers = {(part._id, "ask") for part in (self.film, self.files)}
        self.deleting = [self.delete, self.sure]
        self.result = [self.viewer, self.query, self.share, self.link, self.notice]
        self.result += [self.quality, self.plots, self.film, self.files, self.details]


def _tiers() -> tuple[list[tuple[str, str]], str]:
    """Choices of networks that would work here, and a sentence that says what runs and under which licence."""
    choices = [("Best there is", "auto"), ("Built in", "embedded")]
    here = [weight for weight in (MAST3R, JOSH3R) if find(weight).present]
    if here:
        choices.append(("Networks of the paper", "hub"))
    if not here:
        return choices, "This page runs the networks that come with it."
    which = {"hub": "The best there is here: the paper's networks.", "embedded": "Built-in networks are the best here."}
    licences = "".join(f" {weight.name}: {weight.licence}." for weight in here)
    return choices, which[choose_tier(Settings(mode="refine")).tier] + licences
