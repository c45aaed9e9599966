"""What each kind adds to the common status, and what it says when it has ended."""
