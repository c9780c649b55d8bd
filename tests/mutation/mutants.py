"""Planted faults: every small change of the judging code, run against forged and honest proofs.

A mutant changes one place of one function: a refusal is left out, a comparison or a sign turned,
an "and" made an "or", a "not" dropped, a whole number moved by one. It is killed if some forged
certificate is then accepted or refused by another line, or some honest one refused. What survives
is either a side condition without a test, or equivalent; equivalent ones are listed by name, with
the reason.
"""

from __future__ import annotations

import ast
import copy
import functools
import importlib
import inspect
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from time_limits import TooLong, bounded, limited

_TURNED: dict[type, type] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_SIGNS: dict[type, type] = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div}
REFUSALS = ("require", "require_proof", "relies_on")


@dataclass(frozen=True)
class Mutant:
    """One planted fault.

    Attributes
    ----------
    module, function : str
        Where it is; the function by its qualified name.
    change : str
        What was done, with the source of the place: it names the mutant.
    code : code object
        Of the changed function.
    """

    module: str
    function: str
    change: str
    code: types.CodeType

    @property
    def place(self) -> tuple[str, str]:
        """File and function, as the code object names them."""
        return self.code.co_filename, self.code.co_qualname

    @property
    def name(self) -> str:
        """The name by which an equivalent mutant is listed."""
        return f"{self.module}:{self.function}: {self.change}"


def _is_refusal(node: ast.stmt) -> bool:
    if isinstance(node, ast.Raise):
        return True
    call = node.value if isinstance(node, ast.Expr) else None
    return (
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in REFUSALS
    )


def _changes(node: ast.AST) -> Iterator[tuple[str, Callable[[Any], None]]]:
    """Yield what may be done to a node: words, and a function that does it to a copy."""
    if isinstance(node, ast.Compare):
        for i, operator in enumerate(node.ops):
            if type(operator) in _TURNED:
                yield f"turn {type(operator).__name__}", functools.partial(_turn, place=i)
    elif isinstance(node, ast.BoolOp):
        yield "swap and, or", _swap
    elif isinstance(node, ast.BinOp) and type(node.op) in _SIGNS and not _is_text(node):
        yield f"turn {type(node.op).__name__}", _turn_sign
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        yield "add 1", _add_one


def _is_text(node: ast.BinOp) -> bool:
    return any(
        isinstance(side, ast.JoinedStr)
        or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        for side in (node.left, node.right)
    )


def _turn(node: ast.Compare, place: int) -> None:
    node.ops[place] = _TURNED[type(node.ops[place])]()


def _swap(node: ast.BoolOp) -> None:
    node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()


def _turn_sign(node: ast.BinOp) -> None:
    node.op = _SIGNS[type(node.op)]()


def _add_one(node: ast.Constant) -> None:
    node.value = node.value + 1


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    def walk(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef):
                yield f"{prefix}{child.name}", child
            elif isinstance(child, ast.ClassDef):
                yield from walk(child, f"{prefix}{child.name}.")

    yield from walk(tree, "")


def _code_of(tree: ast.Module, filename: str, function: str) -> types.CodeType | None:
    def find(code: types.CodeType) -> types.CodeType | None:
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                if constant.co_qualname == function:
                    return constant
                found = find(constant)
                if found is not None:
                    return found
        return None

    flags = __import__("__future__").annotations.compiler_flag
    return find(compile(tree, filename, "exec", flags=flags, dont_inherit=True))


def mutants(module: str, skip: Sequence[str] = ()) -> Iterator[Mutant]:
    """Yield every mutant of a module, but of the functions to `skip` (by qualified name)."""
    loaded = importlib.import_module(module)
    source = inspect.getsource(loaded)
    filename = str(loaded.__file__)
    tree = ast.parse(source)
    for name, function in _functions(tree):
        if name in skip or name.rpartition(".")[2] in skip:
            continue
        seen: dict[str, int] = {}
        words_only = _words_of(function)
        any_negative = _sizes_left_open(function)
        for place, node in enumerate(ast.walk(function)):
            if id(node) in words_only:
                continue
            for words, change in _planted(node):
                mutated = copy.deepcopy(tree)
                twin = next(f for n, f in _functions(mutated) if n == name)
                change(twin, list(ast.walk(twin))[place])
                ast.fix_missing_locations(mutated)
                text = f"{words}: {_shown(source, node)}"
                seen[text] = seen.get(text, 0) + 1
                label = text if seen[text] == 1 else f"{text} #{seen[text]}"
                if id(node) in any_negative:
                    continue
                code = _code_of(mutated, filename, name)
                if code is not None:
                    yield Mutant(module, name, label, code)


def _words_of(function: ast.FunctionDef) -> set[int]:
    """Return the nodes of texts and annotations, and of defaults, which no code object holds."""
    outer = [*function.args.defaults, *function.args.kw_defaults, *function.decorator_list]
    texts = [node for node in ast.walk(function) if isinstance(node, ast.JoinedStr)]
    return {id(node) for root in [*outer, *texts] if root for node in ast.walk(root)}


def _sizes_left_open(function: ast.FunctionDef) -> set[int]:
    """Return the ones of each -1 that stands for a size in `reshape`.

    NumPy takes every negative number there for the size that is left open.
    """
    calls = [
        node
        for node in ast.walk(function)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "reshape"
    ]
    sizes = [size for call in calls for size in call.args]
    sizes += [part for size in sizes if isinstance(size, ast.Tuple) for part in size.elts]
    return {
        id(size.operand)
        for size in sizes
        if isinstance(size, ast.UnaryOp) and isinstance(size.op, ast.USub)
    }


def _planted(node: ast.AST) -> Iterator[tuple[str, Callable[[Any, Any], None]]]:
    """Yield what may be done at a node of a function: words, and a function (function, twin)."""
    if isinstance(node, ast.stmt) and _is_refusal(node):
        yield "leave out", _leave_out
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "drop not", _drop_not
    elif isinstance(node, ast.BoolOp):
        for i in range(len(node.values)):
            yield f"drop part {i}", functools.partial(_drop_part, place=i)
    for words, change in _changes(node):
        yield words, functools.partial(_apply, change)


def _apply(change: Callable[[Any], None], function: Any, twin: Any) -> None:
    change(twin)


def _replace(function: ast.AST, old: ast.AST, new: ast.AST) -> None:
    for parent in ast.walk(function):
        for field, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, field, new)
                return
            if isinstance(value, list) and any(item is old for item in value):
                value[:] = [new if item is old else item for item in value]
                return


def _leave_out(function: ast.AST, twin: ast.stmt) -> None:
    _replace(function, twin, ast.Pass())


def _drop_not(function: ast.AST, twin: ast.UnaryOp) -> None:
    _replace(function, twin, twin.operand)


def _drop_part(function: ast.AST, twin: ast.BoolOp, place: int) -> None:
    rest = twin.values[:place] + twin.values[place + 1 :]
    _replace(function, twin, rest[0] if len(rest) == 1 else ast.BoolOp(twin.op, rest))


def _shown(source: str, node: ast.AST) -> str:
    text = " ".join((ast.get_source_segment(source, node) or "").split())
    return text if len(text) <= 90 else f"{text[:87]}..."


def _live(module: str, function: str) -> Any:
    """Return the plain function object behind a qualified name, and how to forget its cache."""
    found: Any = importlib.import_module(module)
    for part in function.split("."):
        found = inspect.getattr_static(found, part)
    if isinstance(found, staticmethod | classmethod):
        found = found.__func__
    if isinstance(found, property):
        found = found.fget
    if isinstance(found, functools.cached_property):
        found = found.func
    return found


@functools.cache
def _caches(modules: int) -> list[Any]:
    """Return the functions of the library, also of its classes, that remember results.

    More are found once more modules are imported.
    """
    found = []
    for name, module in sorted(sys.modules.items()):
        if name.partition(".")[0] == "sparseopt":
            holders = [module, *(v for v in vars(module).values() if isinstance(v, type))]
            values = [value for holder in holders for value in vars(holder).values()]
            plain = [getattr(value, "__func__", value) for value in values]
            found += [value for value in plain if hasattr(value, "cache_clear")]
    return found


def forget() -> None:
    """Forget what functions remember: results that a fault changes, or that hide it."""
    for cached in _caches(len(sys.modules)):
        cached.cache_clear()


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """Run with the fault in place."""
    found = _live(mutant.module, mutant.function)
    target = inspect.unwrap(found)
    before = target.__code__
    target.__code__ = mutant.code
    forget()
    try:
        yield
    finally:
        target.__code__ = before
        forget()


def survives(mutant: Mutant, judge: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Return whether `judge`, true where all is as it should be, does not see the fault."""
    with planted(mutant):
        try:
            with limited(seconds, of_processor=True), bounded(gigabytes=4.0):
                return judge()
        except (Exception, TooLong, SystemExit):
            return False
