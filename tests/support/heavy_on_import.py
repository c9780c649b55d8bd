"""A module of a plugin that loads a heavy library before anybody needs it."""

import sympy  # noqa: F401
