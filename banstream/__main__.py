"""`python -m banstream`: the same as the command."""

from banstream.cli import main

if __name__ == "__main__":
    main()
