"""4D human-scene reconstruction: a clip of people in, camera, bodies and scene in one metric world out."""

import os

# The matrices of this project are small and many: numpy's own threads cost more than they give, and far more when
# other jobs run beside it. Must be set before numpy is loaded; torch keeps its threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = "0.2.0"
