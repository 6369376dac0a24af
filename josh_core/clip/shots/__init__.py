"""Where one shot of the clip ends and the next begins: cuts, jump cuts, wipes, dissolves, scenes that are replaced."""
