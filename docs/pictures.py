"""Takes README's pictures of the page: start `python app.py`, then run `python docs/pictures.py`.

Needs playwright and Chromium, as the browser tests do (requirements-dev.txt; CHROMIUM names its path).
"""

from __future__ import annotations

import io
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

HERE = Path(__file__).resolve().parent
FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
SHOTS = {  # file -> query of the address, selector of what is shown, dark or light
    "page.png": ("?example=log_sit&t=3.4&view=orbit", "body", "light"),
    "result.png": ("?example=juggle&t=3.0&view=orbit", "#j-view", "dark"),
    "camera.png": ("?example=log_sit&t=4.5&view=camera", "#j-view", "dark"),
}
COLORS = 255  # of the palette: a third of the bytes, and hardly to be seen


def shot(browser: Any, address: str, selector: str, scheme: str) -> Image.Image:
    """A picture of one element of the page, when its viewer has drawn and the clip stands at the same frame."""
    context = browser.new_context(viewport={"width": 1280, "height": 880}, color_scheme=scheme)
    page = context.new_page()
    page.goto(address)
    page.wait_for_function("window.joshViewer && joshViewer.ready")
    page.wait_for_timeout(2500)
    clip = {"x": 0, "y": 0, "width": 1280, "height": 880} if selector == "body" else None
    data = page.screenshot(clip=clip) if clip else page.locator(selector).screenshot()
    context.close()
    return Image.open(io.BytesIO(data)).convert("RGB")


def main(address: str = "http://127.0.0.1:7860/") -> None:
    """Write every picture beside this file."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for name, (query, selector, scheme) in SHOTS.items():
            picture = shot(browser, address + query, selector, scheme)
            small = picture.quantize(COLORS, Image.Quantize.MAXCOVERAGE, kmeans=2)
            small.save(HERE / name, optimize=True)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
