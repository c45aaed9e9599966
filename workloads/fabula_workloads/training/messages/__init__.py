"""What launcher and ranks tell each other: the job, events, failures, and that one does not outlive the other."""
