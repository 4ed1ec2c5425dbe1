"""`python -m tisdiss.cli`, as `python -m tisdiss`."""

from tisdiss.cli import main

main()
