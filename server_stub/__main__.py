"""``stb-server``, and ``python -m server_stub``."""

import gc


def main() -> None:
    """Entry point of the command. Whatever is loaded stays: a collector that goes through it again and again meanwhile
    would take a fifth of the start."""
    gc.disable()
    from server_stub import main as server

    gc.enable()
    server.main()


if __name__ == "__main__":
    main()
