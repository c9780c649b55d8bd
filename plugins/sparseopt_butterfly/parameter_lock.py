"""What keeps threads from each other's memory while layers multiply."""

import os
import threading

LOCK = threading.RLock()
"""Held from a look at the memory of parameters until kernels have read it.

What is looked at is remembered, also by copies of a module that threads work on. Kernels hold the
lock of the interpreter anyway.
"""
if hasattr(os, "register_at_fork"):  # or a child might wait for a thread that it does not have
    os.register_at_fork(
        before=LOCK.acquire, after_in_parent=LOCK.release, after_in_child=LOCK.release
    )
