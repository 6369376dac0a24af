"""The page: wiring (page.py, serve.py), the operations behind its buttons (service.py), and its HTML, CSS and texts."""
