"""A bar for long work: in a notebook below its cell, in a terminal on standard error."""

from __future__ import annotations

import html
import sys
import threading
import time
from types import TracebackType
from typing import Any

from sparseopt.interface.printing import printable

_BETWEEN = 0.1
"""Seconds between two pictures of the bar in a notebook: each is a message to the browser."""


class ProgressBar:
    """Shows how far a call is: pass it as ``progress=``.

    Nothing is shown of work that is done within the first second. The bar closes itself when the
    work is done; used as a context manager also when it ends by an error.

    Parameters
    ----------
    delay : float
        Seconds before anything is shown.
    enabled : bool
        False shows nothing.

    Examples
    --------
    >>> import sparseopt as so
    >>> with so.ProgressBar() as bar:
    ...     solution = so.solve(so.Closedness([[[1, 1]], [[1], [1]]]), progress=bar)
    """

    def __init__(self, delay: float = 1.0, enabled: bool = True) -> None:
        self._delay, self._enabled = delay, enabled
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._shown: _Notebook | _Terminal | None = None
        self._state: tuple[float, str] = (0.0, "working")

    def __call__(self, fraction: float, message: str) -> None:
        """Take how far the work is, a number in [0, 1], and what is being done."""
        with self._lock:
            self._state = max(self._state[0], float(fraction)), printable(message, 100)
            if self._shown is not None:
                self._shown.update(*self._state)
            elif self._timer is None and self._enabled:
                self._wait()
        if fraction >= 1.0:
            self.close()

    def close(self) -> None:
        """Take the bar away; another call begins a new one."""
        with self._lock:
            timer, shown = self._timer, self._shown
            self._timer = self._shown = None
            self._state = (0.0, "working")
        if timer is not None:
            timer.cancel()
        if shown is not None:
            shown.close()

    def __enter__(self) -> ProgressBar:
        with self._lock:
            if self._timer is None and self._enabled:
                self._wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _wait(self) -> None:
        """Show the bar after the delay, even if no word comes from the work by then."""
        self._timer = threading.Timer(self._delay, self._show)
        self._timer.daemon = True
        self._timer.start()

    def _show(self) -> None:
        with self._lock:
            if threading.current_thread() is not self._timer:
                return  # closed in between
            self._shown = _Notebook() if _in_notebook() else _Terminal()
            self._shown.update(*self._state)


def _in_notebook() -> bool:
    """Whether this is a kernel of a notebook; looked for only if IPython is loaded anyway."""
    module = sys.modules.get("IPython")
    shell: Any = module.get_ipython() if module is not None else None
    return shell is not None and hasattr(shell, "kernel")


class _Notebook:
    """A bar of HTML, which all notebooks show without further packages."""

    def __init__(self) -> None:
        from IPython.display import HTML, display

        self._html = HTML
        self._handle = display(HTML(""), display_id=True)
        self._last = 0.0

    def update(self, fraction: float, message: str) -> None:
        now = time.monotonic()
        if self._handle is None or (now - self._last < _BETWEEN and fraction < 1.0):
            return
        self._last = now
        self._handle.update(self._html(bar_html(fraction, message)))

    def close(self) -> None:
        if self._handle is not None:
            self._handle.update(self._html(""))


def bar_html(fraction: float, message: str) -> str:
    """Return a bar of HTML."""
    return (
        f'<progress value="{fraction:.3f}" max="1" style="vertical-align: middle"></progress> '
        f"{fraction:.0%} {html.escape(message)}"
    )


class _Terminal:
    """A bar of rich on standard error, nothing where that is no terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("working", total=1.0)
        self._bar.start()

    def update(self, fraction: float, message: str) -> None:
        self._bar.update(self._task, completed=fraction, description=message)

    def close(self) -> None:
        if not self._bar.disable:  # else it would leave an empty line
            self._bar.stop()
