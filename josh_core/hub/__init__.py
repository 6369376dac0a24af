"""JOSH3R. `run.run_josh3r` is the stage, `loaded` gives the networks; nothing is imported here, to stay quick."""
