"""The machine that serves the page: room on its disk, its speed, its health."""
