"""`python -m tisdiss`."""

from tisdiss.cli import main

main()
