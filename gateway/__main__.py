"""`python -m gateway`, which is how workers are started."""

from gateway.cli import main

main()
