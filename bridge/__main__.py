"""`python -m bridge` is `aep-bridge`."""

from bridge.cli import main

if __name__ == "__main__":
    main()
