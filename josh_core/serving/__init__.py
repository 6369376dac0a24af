"""Job queue, worker processes, tasks and result store behind the page; nothing of the method is here."""
