"""Numbers that say how good a result is: `quality` without ground truth, `accuracy` against it."""
