"""The process that starts the ranks and watches them. It never loads torch."""
