"""`python -m fabula_operator` is `fabula-operator`."""

from fabula_operator.main import main

main()
