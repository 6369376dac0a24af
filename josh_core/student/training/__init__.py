"""How the student is taught: simulated motions and landmark errors, labels made by JOSH, and the training itself."""
