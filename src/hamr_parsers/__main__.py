"""`python -m hamr_parsers` is `hamr-parse`."""

from .cli import main

if __name__ == "__main__":
    main()
