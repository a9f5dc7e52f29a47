"""`python -m neurogloss`: the command line."""

from neurogloss.cli.main import main

main()
