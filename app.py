"""The page, as a HuggingFace Space starts it; everything is in josh_core/page/, from serve.py on."""

import sys

import josh_core.page.zero_gpu  # noqa: F401  before all that imports torch

if __name__ == "__main__":  # worker processes import this file too, and need nothing of the page
    from josh_core.page.serve import main

    sys.exit(main())
