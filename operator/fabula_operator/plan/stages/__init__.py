"""One stage: its key and folder, its Job, its results, figures and watchdog."""
