"""The page's building blocks: what a run looks like as text, tables and plots. Only app.py imports gradio."""
