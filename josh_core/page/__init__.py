"""The page: wiring (page.py, serve.py), what stands behind its buttons (desk.py), and its looks and words."""
