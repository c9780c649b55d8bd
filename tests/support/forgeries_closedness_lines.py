"""The forgeries of `forgeries_closedness`, each to be refused by the line that it is made for."""

from forgeries_closedness import by_their_lines as forged, honest

__all__ = ["forged", "honest"]
