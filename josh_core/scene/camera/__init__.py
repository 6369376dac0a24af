"""How the camera moved, turned and saw: the path for every frame, the lens, and the solvers behind them."""
