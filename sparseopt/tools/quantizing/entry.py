"""`quantize`: the layers of a network or module in numbers of few bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from numpy.typing import ArrayLike

from sparseopt.interface.context import Context
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import short
from sparseopt.quantization.rank_one import FormatLike, as_format
from sparseopt.tools.quantizing.bounds import as_inputs, as_radius, example_from
from sparseopt.tools.quantizing.codes import Rounding
from sparseopt.tools.quantizing.kronecker import layers_with_factors
from sparseopt.tools.quantizing.modules import Call, quantize_factors, quantize_module
from sparseopt.tools.quantizing.networks import RESCALINGS, Subject, Task, Way
from sparseopt.tools.quantizing.report import Quantization
from sparseopt.tools.quantizing.rows import report_of
from sparseopt.tools.quantizing.weighted import second_moments
from sparseopt.tools.reading.loading import load_network
from sparseopt.tools.rescaling.in_place import changes_in_place


def quantize(
    subject: Any,
    format: FormatLike = None,
    granularity: str = "tensor",
    inputs: Any = None,
    *,
    relative_error: float | None = None,
    rescaling: str = "path",
    powers_of_two: bool = False,
    biases: FormatLike = None,
    input_bound: ArrayLike | None = None,
    layers: str = "all",
    weigh_inputs: bool = False,
    store: bool = False,
    accuracy: Callable[[Any], float] | None = None,
    example: Any = None,
    time_limit: float | None = None,
    progress: Callable[[float, str], None] | None = None,
    solver: str | None = None,
    **options: Any,
) -> Quantization:
    """Round the weights of a network or module, such that its function stays near.

    `KroneckerLinear` layers keep their factors, which are rounded as a product. All other weights
    are rounded as those of one ReLU network: normalizations are merged into the layers before them,
    hidden units are rescaled such that rounding moves the path-lifting least, and each weight goes
    to the nearest number. The change of the output is bounded by a proof, and measured on inputs.

    Parameters
    ----------
    subject : Network, torch.nn.Module, or anything that `load_network` takes
        A module is changed in place, all or nothing: its weights and biases are rescaled and
        rounded, merged normalizations become `torch.nn.Identity`.
    format : NumberFormat, str or int
        Of the weights. Integers and formats of fewer than 8 bits get a scale, a free one unless the
        format says ``scale="power_of_two"``; others only if they say so. None with
        `relative_error`.
    granularity : {"tensor", "channel"}
        Whether a scale is shared by a weight tensor, or by the weights into an output channel.
    inputs : array or tensor, shape (n, *input), optional
        A calibration batch, on which the change is measured. The first is the example.
    relative_error : float or None
        Of the weight of each layer with factors, with as few digits as are found; other layers are
        left as they are.
    rescaling : {"path", "equalization", "balance", "none"}
        "path": by path costs, then by what rounding really does, see Notes; it falls back on "none"
        where that has the smaller bound. "equalization": largest weights into and out of a unit
        agree (Nagel et al., arXiv 1906.04721); "balance": their Euclidean norms agree, see
        `canonicalize`; "none": plain rounding to nearest.
    powers_of_two : bool
        Whether units are rescaled by powers of two only: before rounding no bit of the function
        changes then.
    biases : NumberFormat, str, int or None
        Of the biases of layers with weights; None: they keep their dtype. Biases of layers with
        factors are rounded only with `store`.
    input_bound : float or array, optional
        Largest absolute values of the inputs that the proven bound is for; the default is the
        largest value in `inputs`, or 1 without any.
    layers : {"all", "kronecker"}
        "kronecker" leaves all but layers with factors as they are, also where the module is no ReLU
        network.
    weigh_inputs : bool
        Of layers with factors: whether errors count by the mean squares of the layer's inputs when
        the module runs on `inputs`. The last two factors of each are then chosen for these.
    store : bool
        Whether the module's tensors get the format's dtype (bfloat16, float16, float8), biases
        rounded to it, too, and the module takes operands of it. Where torch does not compute in it,
        or the module holds other values, they keep their dtype, and the report says why.
    accuracy : callable or None
        Of the subject, or of the module; called before and after.
    example : array or tensor, optional
        An input, for subjects that do not fix their input shape; the default is one of `inputs`.
    time_limit : float or None
        Seconds after which no better factors of units, nor values of products, are looked for.
    progress : callable(fraction, message) or None
    solver, options
        For `solve` of each `ProductQuantization`.

    Returns
    -------
    Quantization
        Printable. One entry for each layer, the quantized network, the proven bound with its
        certificates and the measured change; both also for rounding to nearest.

    Raises
    ------
    ProblemError
        For a subject that is no ReLU network, naming the layer; for formats, granularities,
        rescalings that do not exist, inputs of another shape, NaN; see `ProductQuantization` for
        layers with factors. Nothing is changed then.

    Notes
    -----
    Let g_i be the derivative of the L1 path-norm by ``|w_i|``. To first order rounding errors e_i
    move the path-lifting by at most ``sum_i g_i |e_i|``; this is what rescaling makes small: first
    its expected value, which is convex in the logarithms of the factors, hence the same from
    whatever scales the network has, then itself, by sweeps over units and scales. O(weights) memory
    and O(weights) for each of a few hundred passes. The proven bound is for all inputs, by
    absolute values along each path: 70 to 1500 times what is measured in networks of a few layers,
    more in deeper ones. It tells roundings apart; that little changes it proves only for formats of
    many digits. Weights on no path from the input or a bias to the output
    become 0.

    Examples
    --------
    >>> import numpy as np, sparseopt as so
    >>> from sparseopt.networks import Dense, Relu, chain
    >>> rng = np.random.default_rng(0)
    >>> first, last = rng.standard_normal((8, 4)), rng.standard_normal((2, 8))
    >>> net = chain((4,), Dense(first), Relu(), Dense(last))
    >>> report = so.quantize(net, "int8", inputs=rng.uniform(-1, 1, (100, 4)))
    >>> report.bits_before, report.bits_after
    (3072, 448)
    >>> report.change.largest <= report.bound.value <= report.nearest_bound.value
    True
    """
    form = as_format(format)
    if (form is None) == (relative_error is None):
        raise ProblemError("give a format, or a relative error")
    _require(rescaling, RESCALINGS, "rescaling")
    _require(layers, ("all", "kronecker"), "layers")
    _require(granularity, ("tensor", "channel"), "granularity")
    if store and not hasattr(subject, "named_modules"):
        raise ProblemError("store=True is for torch modules; a network has float32 or float64")
    found = layers_with_factors(subject)
    example = example_from(subject, inputs, example)
    moments = None
    if weigh_inputs:
        if not found or inputs is None or form is None:
            raise ProblemError("weigh_inputs takes layers with factors, a format, and inputs")
        moments = second_moments(subject, [layer for _, layer in found], inputs)
    context = Context(time_limit=time_limit, progress=progress)
    how = (example, solver, options, relative_error, moments, context)
    call = Call(subject, form, found, store, accuracy, *how)
    if form is None or layers == "kronecker" or (example is None and call.has_only_factors):
        return quantize_factors(call)
    if not found and (options or solver):
        names = [*options, *(["solver"] if solver else [])]
        raise ProblemError(f"{names[0]} is for layers with factors, of which there are none here")
    if found and example is None:
        raise ProblemError(
            "the module has other layers than those with factors; pass inputs=, a calibration "
            "batch, or example=, or leave them as they are: layers='kronecker'"
        )
    given = load_network(subject, example)
    batch = as_inputs(inputs, given)
    bias_form = as_format(biases, "biases")
    way = Way(
        Rounding.of(form, granularity),
        None if bias_form is None else Rounding.of(bias_form, "tensor"),
        as_radius(input_bound, batch, given),
        rescaling,
        powers_of_two,
        context,
    )
    if changes_in_place(subject):
        return quantize_module(call, given, batch, way)
    before = None if accuracy is None else float(accuracy(given))
    report = report_of(Task(Subject.of(given, in_place=False), {}, way), batch)
    after = None if accuracy is None else float(accuracy(report.network))
    return replace(report, accuracy_before=before, accuracy_after=after)


def _require(value: Any, known: tuple[str, ...], name: str) -> None:
    """Refuse a word that is not one of those known."""
    if value not in known:
        raise ProblemError(f"{name} must be one of {', '.join(known)}, got {short(value)}")
