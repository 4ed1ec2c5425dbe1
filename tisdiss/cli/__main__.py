"""`python -m tisdiss.cli`."""

from tisdiss.cli import main

main()
