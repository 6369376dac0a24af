"""What the page shows: its components and their places, HTML of cards and tables, plots, downloads."""
