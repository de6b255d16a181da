"""``python -m api``."""

from api.server import main

if __name__ == "__main__":
    main()
