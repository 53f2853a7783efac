"""`python -m bridge` is `aep-bridge`."""

from bridge.commands import main

if __name__ == "__main__":
    main()
