"""Queue, processes, tasks and store behind the page; nothing of the method is here."""
