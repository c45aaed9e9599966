"""What an upgrade may not touch: objects as each released version left them, and the command that keeps this one's."""
