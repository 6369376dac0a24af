"""The page, as a HuggingFace Space starts it; everything is in josh_core/page/, from serve.py on."""

import sys

import josh_core.page.zero_gpu  # noqa: F401  before all that imports torch
from josh_core.page.serve import main

if __name__ == "__main__":
    sys.exit(main())
