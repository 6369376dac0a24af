"""The page's own Gradio components: clip chooser, viewer, gallery of examples. Their looks are in *.html and *.js."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from josh_core import viewer
from josh_core.page.preview import poster
from josh_core.page.shown import Shown, file_url

HERE = Path(__file__).resolve().parent


def part(name: str) -> str:
    """A file of the page's html, js and css."""
    return (HERE / name).read_text("utf-8")

from gradio.events import Dependency

class ClipInput(gr.HTML):
    """Upload, recording, and the choice of the part to use (clip_input.js says what the value holds)."""

    def __init__(self, limit_mb: float, **options: Any) -> None:
        super().__init__(
            value=None,
            html_template=part("clip_input.html"),
            js_on_load=part("clip_input.js"),
            apply_default_css=False,
            limit=round(limit_mb),
            **options,
        )

    def api_info(self) -> dict[str, Any]:
        """Any JSON object."""
        return {"type": "object"}
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component


class Viewer(gr.HTML):
    """The 3D viewer; its value is that of josh_core.page.shown.viewer_value."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            value=None,
            html_template='<div class="j-viewer"></div>',  # without ${value}: Gradio would clear what the script adds
            js_on_load=part("viewer_mount.js"),
            apply_default_css=False,
            module=str(viewer.BUNDLE),
            version=viewer.version(),
            **options,
        )

    def api_info(self) -> dict[str, Any]:
        """Any JSON object."""
        return {"type": "object"}
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component


class Gallery(gr.HTML):
    """Buttons that open an example."""

    def __init__(self, examples: Mapping[str, Shown], **options: Any) -> None:
        items = "".join(
            f'<button type="button" class="j-example" data-example="{name}"><img alt="" src="{poster(shown.clip)}">'
            f"<span>{shown.title}</span></button>"
            for name, shown in examples.items()
            if shown.clip
        )
        html = f'<div class="j-examples">{items}</div>'
        super().__init__(value=html, js_on_load=part("gallery.js"), apply_default_css=False, **options)
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component


def head() -> str:
    """For the page's <head>: what it is, and the viewer's module early."""
    return (
        '<meta name="description" content="One clip in; camera, people and place in one metric world out.">'
        f'<link rel="modulepreload" href="{file_url(viewer.BUNDLE)}?v={viewer.version()}">'
    )