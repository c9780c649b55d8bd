"""An exported PyTorch program while it is converted."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

import sparseopt as so
from sparseopt.tools.reading.budget import Budget, require_room
from sparseopt.tools.reading.builder import NetworkBuilder
from sparseopt.tools.reading.cases import Cases
from sparseopt.tools.reading.choices import integer_input
from sparseopt.tools.reading.values import Comparison, Hollow, MovedTensor, Origin, Value
from sparseopt_torch.calls import Call, packet, schema_of
from sparseopt_torch.module_refusals import HALVES, half_note
from sparseopt_torch.pt2_operators import is_runnable

Rule = Callable[["TorchGraph", Call], Any]

# Operators whose result has every entry of their first argument once.
_MOVING = {
    f"aten.{name}"
    for name in (
        *("permute", "transpose", "t", "numpy_T", "mT", "movedim", "swapaxes", "reshape", "view"),
        *("flatten", "unflatten", "squeeze", "unsqueeze", "contiguous", "clone", "alias"),
        *("_unsafe_view", "detach"),
    )
}
# Operators that may return the memory of an argument without saying so in their schema.
_HANDING_ON = {
    f"aten.{name}"
    for name in (
        *("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"),
        *("type_as", "sum_to_size", "_unsafe_view", "atleast_1d", "atleast_2d", "atleast_3d"),
        *("broadcast_tensors", "meshgrid"),
        *("unsafe_chunk", "unsafe_split", "unsafe_split_with_sizes"),
    )
}
# Those that do so where they are given one tensor, and make a new one of several.
_HANDING_ONE_ON = {"aten.einsum", "aten.cartesian_prod"}
# Functions of Python numbers that shape computations consist of.
_NUMBERS = {operator.getitem, operator.mul, operator.add, operator.sub, operator.floordiv}


class TorchGraph:
    """What the conversion of one exported program knows.

    Parameters
    ----------
    program : torch.export.ExportedProgram
        Without in-place operations.
    shapes : list of tuple of int
        Shapes of the inputs that are tensors, in order, with a batch of 1.
    names : list of str
        Names of the program's results.
    fixed_batch : int
        The batch size with which the program was exported.
    aliases : dict of str to str
        Parameter name to the name under which the tensor was met first, for tied tensors.
    allowed : frozenset of str, or None
        For programs of files: operators that may run on constants besides those in
        `pt2_operators`. None if the program is the user's own, and may run any.
    budget : Budget, or None
        What was computed for the program before.
    own : bool
        Whether nobody else holds the program's tensors, so that they need not be copied.
    """

    def __init__(
        self,
        program: torch.export.ExportedProgram,
        shapes: Sequence[tuple[int, ...]],
        names: Sequence[str],
        fixed_batch: int,
        aliases: dict[str, str],
        allowed: frozenset[str] | None = None,
        budget: Budget | None = None,
        own: bool = False,
    ) -> None:
        self.program = program
        self._own = own or allowed is not None
        self.allowed = allowed
        self.names = list(names)
        self.fixed_batch = fixed_batch
        self.origins: dict[str, str] = {}
        self.environment: dict[str, Any] = {}
        self._load_constants(aliases)
        self.shapes = dict(zip(input_names(program), map(tuple, shapes), strict=True))
        self.used = self._used_inputs()
        (first, shape), *more = ((name, self.shapes[name]) for name in self.used)
        self.builder = NetworkBuilder(shape, first, budget, more)
        for name, value in zip(self.used, self.builder.inputs, strict=True):
            self.environment[name] = value
        held = (*program.state_dict.values(), *program.constants.values())
        self.halves = {t.dtype for t in held if getattr(t, "dtype", None) in HALVES}
        """Dtypes of half precision that weights have."""
        if self.halves:
            words = sorted(str(dtype).removeprefix("torch.") for dtype in self.halves)
            self.builder.note(half_note(" and ".join(words)))
        if fixed_batch > 1:
            self.builder.note(f"the batch of {fixed_batch} was taken as 1")
        self.cases = Cases(self.builder)
        self.heads: set[str] = set()
        """Nodes that were left out, as activations at the end of the network are."""
        self.read: list[int] = []
        """Which results are the network's outputs, once it is finished."""
        self.folded = False
        """Whether constants were computed from tensors of floats."""

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the tensors of the module."""
        held = ((self.origins[name], self.environment[name]) for name in self.origins)
        return {name: tuple(t.shape) for name, t in held if isinstance(t, torch.Tensor)}

    def user_outputs(self) -> list[int]:
        """Return which of the program's results its caller gets; others are written in place."""
        kinds = torch.export.graph_signature.OutputKind
        specs = self.program.graph_signature.output_specs
        return [i for i, spec in enumerate(specs) if spec.kind == kinds.USER_OUTPUT]

    def needed(self) -> set[torch.fx.Node]:
        """Return the nodes that the results depend on."""
        needed = set(self.results)
        for node in reversed(self.program.graph.nodes):
            if node.op != "output" and node in needed:
                needed.update(node.all_input_nodes)
        return needed

    @property
    def results(self) -> list[torch.fx.Node]:
        """The nodes whose values the caller gets."""
        end = next(n for n in self.program.graph.nodes if n.op == "output")
        given = end.args[0]
        results = list(given) if isinstance(given, list | tuple) else [given]
        chosen = [results[i] for i in self.user_outputs() if i < len(results)]
        return [node for node in chosen if isinstance(node, torch.fx.Node)]

    def _load_constants(self, aliases: dict[str, str]) -> None:
        """Put parameters, buffers and constants in place."""
        kinds = torch.export.graph_signature.InputKind
        held = {**self.program.state_dict, **self.program.constants}
        if len(held) < len(self.program.state_dict) + len(self.program.constants):
            raise so.ProblemError("a constant has the name of a weight; export the module again")
        for spec in self.program.graph_signature.input_specs:
            name = spec.arg.name
            if spec.kind == kinds.USER_INPUT:
                self.environment[name] = getattr(spec.arg, "value", None)
            elif spec.target in held:
                tensor = held[spec.target]
                # Networks are immutable: later training of the module must not reach them.
                kept = tensor.detach()
                self.environment[name] = kept if self._own else kept.clone()
                self.origins[name] = aliases.get(spec.target, spec.target)

    def _used_inputs(self) -> list[str]:
        """Return the names of the inputs that the results depend on, each a tensor of floats."""
        needed = self.needed()
        places = {n.name: n for n in self.program.graph.nodes if n.op == "placeholder"}
        used = [name for name in self.shapes if places[name] in needed]
        for name in used:
            require_floats(places[name])
        if not used:
            raise so.ProblemError("the output of the module does not depend on its input")
        return used

    def resolve(self, argument: Any) -> Any:
        """Return an argument with nodes replaced by what they stand for."""
        if isinstance(argument, torch.fx.Node):
            return self.environment[argument.name]
        if isinstance(argument, list | tuple):
            return [self.resolve(item) for item in argument]
        if isinstance(argument, slice):
            parts = (argument.start, argument.stop, argument.step)
            return slice(*(self.resolve(part) for part in parts))
        return argument

    def call(self, node: torch.fx.Node) -> Call:
        """Return the call that a node makes."""
        schema = schema_of(node)
        given = dict(zip((a.name for a in schema.arguments), node.args, strict=False))
        given.update(node.kwargs)
        arguments = {}
        changed = set()
        for argument in schema.arguments:
            if argument.name in given:
                value = given[argument.name]
                arguments[argument.name] = self.resolve(value)
                if not argument.has_default_value() or not _equal(value, argument.default_value):
                    changed.add(argument.name)
            elif argument.has_default_value():
                arguments[argument.name] = argument.default_value
        return Call(node, arguments, changed)

    def constant_result(self, node: torch.fx.Node) -> bool:
        """Compute the node if nothing in it depends on the input; return whether it was."""
        arguments = [self.resolve(a) for a in node.args]
        keywords = {key: self.resolve(a) for key, a in node.kwargs.items()}
        if node.target in _NUMBERS or schema_of(node) is not None:
            if _holds_value([arguments, list(keywords.values())]):
                return False
            target: Any = node.target
            if _is_random(target):
                raise so.ProblemError(
                    "it draws random numbers, so the module is not a fixed function"
                )
            self._require_runnable(node)
            with torch.no_grad():
                result = target(*arguments, **keywords)
            if "empty" in str(target) and isinstance(result, torch.Tensor):
                result = torch.zeros_like(result)  # not what happens to lie in memory
            self.environment[node.name] = result
            self.folded = self.folded or any(_is_float(a) for a in arguments)
            return True
        return False

    def _require_runnable(self, node: torch.fx.Node) -> None:
        """Refuse constants of files that are too large, or that other operators make."""
        if self.allowed is None:
            return
        if not is_runnable(node.target, self.allowed):
            raise so.ProblemError("this operator is not computed for programs in files")
        for leaf in pytree.tree_leaves(node.meta.get("val")):
            if isinstance(leaf, torch.Tensor):
                require_room(leaf.shape)
                self.builder.budget.compute(leaf.numel(), leaf.numel())
                self.builder.budget.keep(leaf.numel())

    def may_run(self) -> bool:
        """Whether the whole program may be run: it is the user's own, or small and harmless."""
        if self.allowed is None:
            return True
        for node in self.program.graph.nodes:
            if node.op == "call_function" and not is_runnable(node.target, self.allowed):
                return False
            for leaf in pytree.tree_leaves(node.meta.get("val")):
                if isinstance(leaf, torch.Tensor):
                    require_room(leaf.shape)
        return True

    def item(self, node: torch.fx.Node) -> Any:
        """Return the item of a list of values that a node picks."""
        values, place = (self.resolve(argument) for argument in node.args)
        if values[place] is None:
            raise so.ProblemError(
                "only the first result of the operator before it can be used, not its indices or "
                "statistics"
            )
        return values[place]

    def origin(self, call: Call, **slots: str) -> dict[str, str]:
        """Return the tensors behind parameters, for arguments that are tensors of the module."""
        given = _given(call)
        result = {}
        for field, slot in slots.items():
            node = given.get(slot)
            if isinstance(node, torch.fx.Node) and node.name in self.origins:
                result[field] = self.origins[node.name]
        return result

    def moved_origin(self, call: Call, **slots: str) -> dict[str, Origin]:
        """Return as `origin` does the tensors behind parameters, also where entries were moved."""
        given = _given(call)
        result: dict[str, Origin] = {}
        for field, slot in slots.items():
            found = self._moved(given.get(slot))
            if found is not None:
                name, positions = found
                in_order = np.array_equal(positions, np.arange(positions.size))
                result[field] = name if in_order else MovedTensor(name, positions)
        return result

    def _moved(self, node: Any) -> tuple[str, np.ndarray] | None:
        """Return the tensor whose entries a constant is, each once, and where they stand in it."""
        steps = []
        while isinstance(node, torch.fx.Node) and node.name not in self.origins:
            if packet(node) not in _MOVING or not node.args:
                return None
            steps.append(node)
            node = node.args[0]
        if not isinstance(node, torch.fx.Node):
            return None
        positions = torch.arange(self.environment[node.name].numel())
        positions = positions.reshape(self.environment[node.name].shape)
        for step in reversed(steps):
            others = [self.resolve(argument) for argument in step.args[1:]]
            keywords = {key: self.resolve(argument) for key, argument in step.kwargs.items()}
            positions = step.target(positions, *others, **keywords)  # type: ignore[operator]
        return self.origins[node.name], positions.reshape(-1).numpy()

    def value(
        self,
        argument: Any,
        what: str = "its input",
        after_head: bool = False,
        after_border: bool = False,
    ) -> Value:
        """Return an argument that depends on the input."""
        if isinstance(argument, Comparison):
            raise so.ProblemError("it reads a condition, which jumps from 0 to 1")
        if isinstance(argument, Hollow) and not after_border:
            raise so.ProblemError(
                "it reads a value that was padded with -inf, which only a max-pool may"
            )
        if not isinstance(argument, Value):
            raise so.ProblemError(f"{what} is constant where a value that varies is needed")
        if argument.head and not after_head:
            raise so.ProblemError(
                f"it reads the result of {argument.head}, which is not piecewise linear and only "
                "understood at the end of a network"
            )
        return argument

    def moved(self, argument: Any) -> Value:
        """Return an argument whose entries are picked, also after an entrywise head."""
        after = isinstance(argument, Value) and argument.may_be_moved
        return self.value(argument, after_head=after)

    def array(self, argument: Any, what: str) -> np.ndarray:
        """Return a constant argument as an array."""
        if isinstance(argument, Value | Comparison):
            raise so.ProblemError(f"{what} must be constant, but it depends on the input")
        if isinstance(argument, torch.Tensor):
            return as_array(argument, what)
        return np.asarray(argument, dtype=np.float64)

    def optional(self, argument: Any, what: str) -> np.ndarray | None:
        """Return a constant argument as an array, or None if it is left out."""
        return None if argument is None else self.array(argument, what)

    def finish(self) -> so.Network:
        """Return the network of what was converted."""
        results = [self.resolve(node) for node in self.results]
        for result in results:
            if isinstance(result, Hollow | Comparison):
                self.value(result, after_head=True)
        if not any(isinstance(v, Value) for v in results):
            raise so.ProblemError("the output of the module does not depend on its input")
        outputs = []
        for name, result in zip(self.names, results, strict=True):
            if not isinstance(result, Value):
                result = self._constant_output(name, result)
            outputs.append((name, result))
        self.read = self.builder.distinct(outputs)
        return self.builder.finish_all([outputs[i] for i in self.read])

    def _constant_output(self, name: str, result: Any) -> Value:
        """Return an output that is the same for all inputs, such as a parameter, as a value."""
        others = "; name the outputs to read by outputs= (--output on the command line)"
        if not isinstance(result, torch.Tensor) or not result.is_floating_point():
            kind = getattr(result, "dtype", type(result).__name__)
            raise so.ProblemError(
                f"the output {name!r} is a constant of type {kind}, no real numbers{others}"
            )
        array = self.array(result, f"the output {name!r}")
        if self.fixed_batch > 1:
            if array.shape[:1] != (self.fixed_batch,) or np.any(array != array[:1]):
                raise so.ProblemError(f"the output {name!r} is constant, but not by sample{others}")
            array = array[:1]
        self.builder.note(f"the output {name!r} is constant")
        return self.builder.constant(np.asarray(array, dtype=np.float64), name)


def input_names(program: torch.export.ExportedProgram) -> list[str]:
    """Return the names of the inputs that are tensors."""
    kinds = torch.export.graph_signature
    return [
        spec.arg.name
        for spec in program.graph_signature.input_specs
        if spec.kind == kinds.InputKind.USER_INPUT and isinstance(spec.arg, kinds.TensorArgument)
    ]


def require_floats(place: torch.fx.Node) -> None:
    """Refuse an input that is not a tensor of floats."""
    value = place.meta["val"]
    if not isinstance(value, torch.Tensor) or not value.is_floating_point():
        raise integer_input(place.name, str(getattr(value, "dtype", type(value).__name__)))


def _given(call: Call) -> dict[str, Any]:
    """Return the arguments of a call by name, as nodes of the program."""
    order = [a.name for a in schema_of(call.node).arguments]
    return dict(zip(order, call.node.args, strict=False)) | dict(call.node.kwargs)


def _equal(value: Any, default: Any) -> bool:
    """Whether a plain argument is what it would be if it were left out."""
    return type(value) is type(default) and bool(value == default)


def _holds_value(argument: Any) -> bool:
    if isinstance(argument, list):
        return any(_holds_value(item) for item in argument)
    return isinstance(argument, Value | Comparison)


def _is_float(argument: Any) -> bool:
    return isinstance(argument, torch.Tensor) and argument.is_floating_point()


def _is_random(target: Any) -> bool:
    """Whether an operator draws random numbers; dropout of constants is told by its arguments."""
    tags = getattr(target, "tags", ())
    return torch.Tag.nondeterministic_seeded in tags and "dropout" not in str(target)


def as_array(tensor: torch.Tensor, what: str) -> np.ndarray:
    """Return a tensor as an array, half precision in float64; complex numbers are refused."""
    tensor = tensor.detach().cpu()
    if tensor.is_complex():
        raise so.ProblemError(f"{what} has dtype {tensor.dtype}; a network has real weights")
    if tensor.dtype in (torch.float16, torch.bfloat16):
        tensor = tensor.double()
    return tensor.resolve_neg().numpy()


def mutates_shared_value(graph: torch.fx.Graph) -> bool:
    """Whether an in-place operation changes a value that something else still reads.

    Where it does not, the operation may be read as the one that makes a new value. Refused is one
    that changes another value only by what an operator hands on undeclared: PyTorch itself does not
    see that when it rewrites the program.
    """
    nodes = list(graph.nodes)
    position = {node: i for i, node in enumerate(nodes)}
    declared: dict[torch.fx.Node, set[torch.fx.Node]] = {}
    family: dict[torch.fx.Node, set[torch.fx.Node]] = {}
    shared = False
    for node in nodes:
        _join(declared, node, _aliased(node))
        _join(family, node, _handed(node) or _aliased(node))
        if not _written(node):
            continue
        first = node.args[0] if node.args else None
        if isinstance(first, list | tuple):
            raise so.ProblemError(f"{packet(node)} writes in place to a list; write in a loop")
        before = family[node] - {node}
        read = {m for m in before if any(position[u] > position[node] for u in m.users)}
        if not read <= declared[node]:
            handing = next(m for m in nodes if m in before and _handed(m))
            raise so.ProblemError(
                f"{packet(node)} writes in place to the result or argument of {packet(handing)}, "
                "which may be one and the same value, and the other is read again after; leave out "
                "inplace=True, or clone the result first"
            )
        shared = shared or bool(read) or any(m.op == "placeholder" for m in before)
    return shared


def _join(
    family: dict[torch.fx.Node, set[torch.fx.Node]],
    node: torch.fx.Node,
    sources: Sequence[torch.fx.Node],
) -> None:
    """Put a node into the family of its sources, which are one family from then on."""
    members = family[sources[0]] if sources else set()
    for source in sources[1:]:
        if family[source] is not members:
            members |= family[source]
            family.update(dict.fromkeys(family[source], members))
    members.add(node)
    family[node] = members


def _written(node: torch.fx.Node) -> bool:
    schema = schema_of(node)
    return schema is not None and schema.is_mutable


def _handed(node: torch.fx.Node) -> list[torch.fx.Node]:
    """Return the arguments that the result of `node` may be though its schema is silent."""
    given = [a for argument in node.args for a in _listed(argument)]
    if packet(node) in _HANDING_ONE_ON:
        return given if len(given) == 1 else []
    if packet(node) in _HANDING_ON:
        return given if isinstance(node.args[0], list | tuple) else given[:1]
    return []


def _listed(argument: Any) -> list[torch.fx.Node]:
    """Return the nodes of an argument that is one or a list of them."""
    items = argument if isinstance(argument, list | tuple) else [argument]
    return [item for item in items if isinstance(item, torch.fx.Node)]


def _aliased(node: torch.fx.Node) -> list[torch.fx.Node]:
    """Return the node whose memory the result of `node` may share by its schema."""
    if node.op != "call_function":
        return []
    first = node.args[0] if node.args else None
    if node.target is operator.getitem:
        return [first] if isinstance(first, torch.fx.Node) else []
    schema = schema_of(node)
    if schema is None or not isinstance(first, torch.fx.Node):
        return []
    return [first] if any(r.alias_info is not None for r in schema.returns) else []


def sizes(values: Any, count: int) -> list[int]:
    """Return a list of `count` sizes from one number, a list of one, or a full list."""
    items: list[int] = [values] if isinstance(values, int) else [int(v) for v in values]
    return items * count if len(items) == 1 else items
