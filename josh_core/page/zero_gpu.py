"""What a Space on ZeroGPU wants of an app while it is imported; imported first by app.py. Elsewhere nothing happens.

`spaces` must be imported before torch, and the functions that it lends a GPU to must be known before the page starts:
an app without any is not started. They are those decorated with josh_core.networks.device.on_gpu.
"""

import os

if os.environ.get("SPACES_ZERO_GPU"):
    import spaces  # noqa: F401

    import josh_core.hub.josh3r_pairs
    import josh_core.hub.mast3r_pairs  # noqa: F401
