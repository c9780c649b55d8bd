"""``python -m sparseopt``, and the command ``sparseopt``."""

import sys


def run() -> None:
    """Run the command line, which may be interrupted while it is still being imported."""
    try:
        from sparseopt.cli.main import run as run_command_line

        run_command_line()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    run()
