"""Controllers of the laptop cluster: ordinary API clients that serve any API server."""
