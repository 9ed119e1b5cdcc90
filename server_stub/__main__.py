"""``stb-server``, and ``python -m server_stub``."""

import gc


def main() -> None:
    """Entry point of the command. Whatever is loaded and built stays: a collector that goes through it again and again
    meanwhile would take a quarter of the start. It begins when the command does, a server's when it listens.
    """
    gc.disable()
    from server_stub import main as server

    server.main()


if __name__ == "__main__":
    main()
