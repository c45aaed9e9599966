"""One's own films: pictures on CPUs, features of them on GPUs, and where in a film a person of its cast is seen."""
