"""The page: wiring (page.py, serve.py), the operations behind its buttons (service.py), its parts and static files."""
