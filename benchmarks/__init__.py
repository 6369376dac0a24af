"""Commands that print what README and docs claim; each file says how it is run."""

import josh_core  # noqa: F401  before numpy is loaded, whose threads it limits
