"""Gradio's application, whose every error reaches the caller as a sentence: Gradio itself tells only its own."""

from __future__ import annotations

from typing import Any

import gradio as gr

from josh_core.errors import SettingsError
from josh_core.page.api import refusal

_UNREADABLE = "One of the values of this call cannot be read; please look at the API's page for what it takes."


class Forgetful(set[str]):
    """A set that keeps nothing."""

    def update(self, *others: object) -> None:
        """What is to be kept is not."""


class Blocks(gr.Blocks):
    """What the page and the API are built in."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.upload_file_set = Forgetful()  # Gradio would note every upload for ever; disk_space.py removes the files

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *args: Any, **kwargs: Any) -> Any:
        """Gradio's, of the values that a caller sends. Whatever is wrong with them is the caller's to mend."""
        try:
            return await super().preprocess_data(block_fn, _completed(block_fn, inputs), *args, **kwargs)
        except gr.Error as error:  # such as a choice that there is not
            raise refusal(SettingsError(str(error.message))) from None
        except Exception:
            raise refusal(SettingsError(_UNREADABLE)) from None

    async def process_api(self, *args: Any, **kwargs: Any) -> Any:
        """Gradio's, of one call from values to answer."""
        try:
            return await super().process_api(*args, **kwargs)
        except gr.Error:
            raise
        except Exception as error:
            raise refusal(error) from None


def _completed(block_fn: Any, inputs: list[Any]) -> list[Any]:
    """The values of an API call with the defaults of those that it leaves out at its end, as older programs do."""
    missing = block_fn.inputs[len(inputs) :] if block_fn.api_visibility == "public" and inputs else []
    return [*inputs, *(component.value for component in missing)]
