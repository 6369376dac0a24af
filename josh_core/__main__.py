"""`python -m josh_core`, the same as the command `josh`."""

import sys

from josh_core.cli import main

if __name__ == "__main__":
    sys.exit(main())
