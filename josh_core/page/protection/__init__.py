"""Between the network and Gradio: which requests, uploads and connections are let through, and how many."""
