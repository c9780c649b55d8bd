"""What is proved about networks: how much a changed network differs."""
