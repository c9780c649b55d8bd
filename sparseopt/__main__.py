"""``python -m sparseopt``."""

from sparseopt.cli.main import run

if __name__ == "__main__":
    run()
