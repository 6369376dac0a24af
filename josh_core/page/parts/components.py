"""The page's own components, made from gr.HTML: clip chooser, viewer, gallery of examples.

They are functions, not subclasses: Gradio writes a .pyi file beside the source of every subclass. Their appearance and
behaviour are in the *.html, *.js and *.css files of static/.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from josh_core import viewer
from josh_core.page.parts.cost import poster
from josh_core.page.shown_run import ShownRun, file_url

STATIC = Path(__file__).resolve().parents[1] / "static"


def page_file(name: str) -> str:
    """A file of the page's html, js and css."""
    return (STATIC / name).read_text("utf-8")


def clip_input(limit_mb: float) -> gr.HTML:
    """Upload, recording, and the choice of the part to use; clip_input.js says what the value holds."""
    return gr.HTML(
        html_template=page_file("clip_input.html"),
        js_on_load=page_file("clip_input.js"),
        apply_default_css=False,
        elem_id="j-clip",
        limit=limit_mb,
    )


def result_viewer(first: dict[str, Any] | None) -> gr.HTML:
    """The 3D viewer; its value is shown_run.viewer_value's, at first `first` where the address asks for nothing."""
    gr.set_static_paths([viewer.BUNDLE])
    return gr.HTML(
        first,
        html_template='<div class="j-viewer"></div>',  # without ${value}: Gradio would clear what the script adds
        js_on_load=page_file("viewer_mount.js"),
        apply_default_css=False,
        elem_id="j-view",
        module=str(viewer.BUNDLE),
        version=viewer.version(),
    )


def gallery(examples: Mapping[str, ShownRun]) -> gr.HTML:
    """Buttons that open an example."""
    items = "".join(
        f'<button type="button" class="j-example" data-example="{escape(name)}">'
        f'<img alt="" src="{poster(shown.clip)}"><span>{escape(shown.title)}</span></button>'
        for name, shown in examples.items()
        if shown.clip
    )
    title = '<p class="j-title">Examples, ready to look at</p>' if items else ""
    return gr.HTML(
        f'{title}<div class="j-examples">{items}</div>',
        js_on_load=page_file("gallery.js"),
        apply_default_css=False,
        elem_id="j-gallery",
    )


def file_requests(answer: Callable[[Any], dict[str, Any]], elem_id: str) -> gr.HTML:
    """HTML with buttons that request files (file_requests.js); `answer` returns the state of a request."""

    def ask(request: Any) -> dict[str, Any]:  # file_requests.js calls it by this name; Gradio sets attributes on it
        return answer(request)

    return gr.HTML(
        "", js_on_load=page_file("file_requests.js"), server_functions=[ask], apply_default_css=False, elem_id=elem_id
    )


def my_results() -> gr.HTML:
    """This browser's own runs with their delete keys; my_results.js says what the value holds."""
    return gr.HTML(
        None,
        html_template='<section class="j-mine" hidden></section>',
        js_on_load=page_file("my_results.js"),
        apply_default_css=False,
        elem_id="j-mine",
    )


def about() -> gr.HTML:
    """The text that explains the page, with switches of the viewer in it."""
    return gr.HTML(
        page_file("about.html"), js_on_load=page_file("about.js"), apply_default_css=False, elem_id="j-about"
    )


def html(value: str = "", elem_id: str | None = None) -> gr.HTML:
    """A piece of our own HTML without Gradio's styles."""
    return gr.HTML(value, apply_default_css=False, elem_id=elem_id)


def head() -> str:
    """For the page's <head>: what it is, and the viewer's module early."""
    return (
        '<meta name="description" content="One clip in; camera, people and place in one metric world out.">'
        f'<link rel="modulepreload" href="{file_url(viewer.BUNDLE)}?v={viewer.version()}">'
    )
