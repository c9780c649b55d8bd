"""A stand-in for the few calls of CuPy in use: arrays on NumPy's memory, kernels on the emulator.

It is no GPU and says nothing of speed. What it holds is what the path needs to be run whole: the
real sources of the kernels, launched with the real arguments, every fault an error; cuBLAS's
strided-batched product on the memory that it is given, every access inside an array that is alive;
devices, streams and memory as far as code asks for them. Nothing that CuPy would refuse works
here: arrays never turn into NumPy's by themselves.
"""

from __future__ import annotations

import ctypes
import importlib.machinery
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from cuda_emulator import emulate

_USUAL_SHARED = 48 << 10
_MOST_SHARED = 163 << 10


class State:
    """What a test sets and sees.

    Attributes
    ----------
    launches : list of str
        Names of the kernels that ran.
    gemms : int
        Calls of cuBLAS.
    copies : int
        Arrays that came from NumPy.
    free : int
        Bytes that a device says are free.
    clock : float
        Microseconds that its work has taken, as `takes` says of the name of each launch.
    """

    def __init__(self) -> None:
        self.launches: list[str] = []
        self.gemms = 0
        self.copies = 0
        self.free = 1 << 34
        self.device = 0
        self.devices = 2
        self.capability = "90"
        self.failure: Exception | None = None
        self.driver = 13000
        self.no_cublas = False
        self.clock = 0.0
        self.takes: Callable[[str], float] = lambda name: 1.0

    def done(self, name: str) -> None:
        """Let the time of one launch pass."""
        self.clock += self.takes(name)


state = State()
_alive: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()


class CUDARuntimeError(RuntimeError):
    """What the driver says."""


class _Held(np.ndarray):
    """Memory of a device, known as long as something refers to it."""


class Device:
    """A device, and the current one within a `with`."""

    def __init__(self, identity: int | None = None) -> None:
        self.id = state.device if identity is None else identity
        self._before: list[int] = []

    @property
    def compute_capability(self) -> str:
        return state.capability

    @property
    def attributes(self) -> dict[str, int]:
        return {"MaxSharedMemoryPerBlockOptin": _MOST_SHARED, "L2CacheSize": 1 << 10}

    def __enter__(self) -> Device:
        self._before.append(state.device)
        state.device = self.id
        return self

    def __exit__(self, *error: object) -> None:
        state.device = self._before.pop()

    def __str__(self) -> str:
        return f"<CUDA Device {self.id}>"


class ndarray:
    """An array on a device."""

    __array_ufunc__ = None
    __module__ = "cupy"

    def __init__(self, held: np.ndarray, device: int | None = None) -> None:
        self.held = held
        self.device = Device(state.device if device is None else device)
        base = held
        while isinstance(base.base, np.ndarray):
            base = base.base
        if not isinstance(base, _Held):
            base = base.view(_Held)
        self._memory = base
        _alive[id(base)] = base

    # What it is.
    dtype = property(lambda self: self.held.dtype)
    shape = property(lambda self: self.held.shape)
    ndim = property(lambda self: self.held.ndim)
    size = property(lambda self: self.held.size)
    flags = property(lambda self: self.held.flags)
    T = property(lambda self: self._like(self.held.T))

    @property
    def data(self) -> Any:
        return SimpleNamespace(ptr=self.held.ctypes.data)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        raise AssertionError("this memory is not on a device")

    def _like(self, held: Any) -> ndarray:
        return ndarray(np.asarray(held), self.device.id)

    def get(self) -> np.ndarray:
        return np.array(self.held)

    def __array__(self, *given: Any, **more: Any) -> np.ndarray:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Use `.get()`")

    def __dlpack__(self, **more: Any) -> Any:
        return self.held.__dlpack__()

    def __dlpack_device__(self) -> Any:
        return self.held.__dlpack_device__()

    def __reduce__(self) -> Any:
        raise AssertionError("arrays of a device are not pickled")

    def __len__(self) -> int:
        return len(self.held)

    def __bool__(self) -> bool:
        return bool(self.held)

    def __float__(self) -> float:
        return float(self.held)

    def __getitem__(self, key: Any) -> ndarray:
        return self._like(self.held[_own(key)])

    def __setitem__(self, key: Any, values: Any) -> None:
        self.held[_own(key)] = _own(values)

    def astype(self, dtype: Any) -> ndarray:
        return self._like(self.held.astype(dtype))

    def copy(self) -> ndarray:
        return self._like(self.held.copy())

    def fill(self, value: float) -> None:
        self.held.fill(value)
        state.done("fill")

    def view(self, dtype: Any) -> ndarray:
        return self._like(self.held.view(dtype))

    def conj(self) -> ndarray:
        return self._like(self.held.conj())

    def reshape(self, *shape: Any) -> ndarray:
        return self._like(self.held.reshape(*shape))

    def transpose(self, *axes: Any) -> ndarray:
        return self._like(self.held.transpose(*axes))

    def swapaxes(self, one: int, two: int) -> ndarray:
        return self._like(self.held.swapaxes(one, two))

    def max(self) -> ndarray:
        return self._like(self.held.max())

    def all(self) -> ndarray:
        return self._like(self.held.all())

    def __abs__(self) -> ndarray:
        return self._like(abs(self.held))

    def __neg__(self) -> ndarray:
        return self._like(-self.held)


def _operation(name: str) -> Any:
    def apply(self: ndarray, other: Any) -> Any:
        if isinstance(other, np.ndarray) and other.ndim:
            raise TypeError(f"Unsupported type {type(other)}")
        if not isinstance(other, ndarray) and getattr(other, "__array_ufunc__", 0) is None:
            return NotImplemented
        if isinstance(other, ndarray) and other.device.id != self.device.id:
            raise ValueError("arrays lie on different devices")
        with np.errstate(all="ignore"):  # a device says nothing
            found = getattr(self.held, name)(_own(other))
        return found if found is NotImplemented else self._like(found)

    return apply


for _name in ("add", "sub", "mul", "rmul", "truediv", "matmul", "eq"):
    setattr(ndarray, f"__{_name}__", _operation(f"__{_name}__"))
ndarray.__hash__ = None  # type: ignore[assignment]


def _own(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_own, value))
    if isinstance(value, ndarray):
        return value.held
    return value


def asarray(values: Any, dtype: Any = None) -> ndarray:
    """Copy from NumPy; an array of a device stays what it is where it may."""
    if isinstance(values, ndarray):
        same = dtype is None or values.dtype == np.dtype(dtype)
        return values if same else values.astype(dtype)
    state.copies += 1
    return ndarray(np.array(values, dtype=dtype))


def ascontiguousarray(values: ndarray, dtype: Any = None) -> ndarray:
    """Return the array with contiguous rows, itself if it is so."""
    held = np.ascontiguousarray(values.held, dtype=dtype)
    return values if held is values.held else ndarray(held, values.device.id)


def empty(shape: Any, dtype: Any = float) -> ndarray:
    """Return an array of NaN, so that what is never written is seen."""
    made = np.empty(shape, dtype)
    made.view(np.uint8 if made.size else made.dtype)[...] = 255
    return ndarray(made)


def zeros(shape: Any, dtype: Any = float) -> ndarray:
    """Return zeros."""
    return ndarray(np.zeros(shape, dtype))


def from_dlpack(tensor: Any) -> ndarray:
    """Return the memory of a tensor, shared; those that need a gradient are refused."""
    assert not tensor.requires_grad
    assert tensor.is_contiguous()
    return ndarray(tensor.numpy())


class RawModule:
    """Sources whose functions run on the emulator."""

    def __init__(self, code: str, options: tuple[str, ...] = ()) -> None:
        assert options == ("--std=c++17",)
        self._code = code

    def get_function(self, name: str) -> Any:
        return _Function(self._code, name)


class _Function:
    def __init__(self, code: str, name: str) -> None:
        self._code, self._name = code, name
        self.max_dynamic_shared_size_bytes = _USUAL_SHARED

    def __call__(self, grid: Any, block: Any, args: Any, *, shared_mem: int = 0) -> None:
        if state.failure is not None:
            raise state.failure
        assert shared_mem <= self.max_dynamic_shared_size_bytes <= _MOST_SHARED
        for value in args:
            assert isinstance(value, ndarray | np.int64 | np.float64), type(value)
            assert not isinstance(value, ndarray) or value.device.id == state.device
        given = [_own(value) for value in args]
        counts = emulate(self._code, self._name, grid, block, given, shared_mem)
        assert counts.faults == 0, (self._name, counts)
        state.launches.append(self._name)
        state.done(self._name)


def _view(pointer: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return memory by its address, which must lie in an array that is alive."""
    size = np.dtype(dtype).itemsize
    last = pointer + size + sum((n - 1) * s * size for n, s in zip(shape, strides, strict=True))
    places = [(held.ctypes.data, held.nbytes) for held in list(_alive.values())]
    inside = any(start <= pointer and last <= start + count for start, count in places)
    assert inside, "cuBLAS was given memory outside all arrays"
    buffer = (ctypes.c_char * (last - pointer)).from_address(pointer)
    steps = tuple(s * size for s in strides)
    return np.ndarray(shape, dtype, buffer, strides=steps)


_TYPES = {0: "f4", 1: "f8", 2: "f2", 4: "c8", 5: "c16"}
_SUMS = {68: ("f4", "c8", "f2"), 70: ("f8", "c16"), 77: ("f4",)}


def gemm_strided_batched_ex(
    handle: int,
    *given: int,
) -> None:
    """C = A B for many pairs, columns stored together, as cuBLAS documents it."""
    assert handle == 7
    if state.failure is not None:
        raise state.failure
    ta, tb, m, n, k, alpha, *rest = given
    a, a_type, lda, a_step, b, b_type, ldb, b_step, beta, c, c_type, ldc, c_step, *how = rest
    count, sums, algorithm = how
    assert (tb, algorithm) == (0, -1)
    dtype = _TYPES[c_type]
    assert a_type == b_type == c_type
    assert dtype in _SUMS[sums]
    wide = {"f2": "f4"}.get(dtype, dtype)
    one, zero = (np.ndarray(1, wide, (ctypes.c_char * 16).from_address(p)) for p in (alpha, beta))
    assert (one[0], zero[0]) == (1, 0)
    assert lda >= (k if ta else m)
    assert ldb >= k
    assert ldc >= m
    shape, strides = ((count, m, k), (a_step, lda, 1)) if ta else ((count, m, k), (a_step, 1, lda))
    left = _view(a, shape, strides, dtype)
    right = _view(b, (count, k, n), (b_step, 1, ldb), dtype)
    result = _view(c, (count, m, n), (c_step, 1, ldc), dtype)
    if sums == 77:  # eleven digits of each number
        left, right = (_short(values) for values in (left, right))
    result[...] = left.astype(wide) @ right.astype(wide)
    state.gemms += 1
    state.done("gemm")


def _short(values: np.ndarray) -> np.ndarray:
    bits = np.ascontiguousarray(values).view(np.uint32)
    return ((bits + np.uint32(1 << 12)) & np.uint32(0xFFFFE000)).view(np.float32)


def _of_numpy(name: str) -> Any:
    function = getattr(np.linalg, name.removeprefix("linalg."), None) or getattr(np, name)

    def call(*given: Any, **more: Any) -> Any:
        places = {v.device.id for v in given if isinstance(v, ndarray)}
        assert len(places) <= 1
        found = function(*[_inner(value) for value in given], **more)
        if isinstance(found, tuple):
            return tuple(map(ndarray, found))
        return ndarray(found)

    return call


def _inner(value: Any) -> Any:
    return [_own(one) for one in value] if isinstance(value, list) else _own(value)


def _runtime() -> ModuleType:
    runtime = ModuleType("cupy.cuda.runtime")

    def count() -> int:
        if state.failure is not None:
            raise state.failure
        return state.devices

    runtime.getDeviceCount = count  # type: ignore[attr-defined]
    runtime.driverGetVersion = lambda: state.driver  # type: ignore[attr-defined]
    runtime.memGetInfo = lambda: (state.free, 1 << 36)  # type: ignore[attr-defined]
    runtime.getDeviceProperties = lambda i: {"name": b"Emulated"}  # type: ignore[attr-defined]
    runtime.CUDARuntimeError = CUDARuntimeError  # type: ignore[attr-defined]
    return runtime


class Event:
    """A moment of the work on a device."""

    def record(self) -> None:
        self.at = state.clock

    def synchronize(self) -> None:
        return


def elapsed(begin: Event, end: Event) -> float:
    """Return the milliseconds between two events."""
    return (end.at - begin.at) / 1e3


class ExternalStream:
    """A stream of another library."""

    def __init__(self, pointer: int) -> None:
        self.pointer = pointer

    def __enter__(self) -> ExternalStream:
        return self

    def __exit__(self, *error: object) -> None:
        return


def _copy(target: ndarray, source: ndarray) -> None:
    target.held[...] = source.held
    state.done("copy")


def _handle() -> int:
    if state.no_cublas:
        raise ImportError('Failure finding "libcublas.so.13":\n no such file')
    return 7


def module() -> ModuleType:
    """Return the stand-in as a module of the name cupy."""
    made = ModuleType("cupy")
    made.__spec__ = importlib.machinery.ModuleSpec("cupy", None)
    for thing in (ndarray, asarray, ascontiguousarray, empty, zeros, from_dlpack, RawModule):
        setattr(made, thing.__name__, thing)
    for name in ("concatenate", "nonzero", "einsum"):
        setattr(made, name, _of_numpy(name))
    draws = np.random.default_rng(0)
    made.random = SimpleNamespace(random=lambda shape: ndarray(draws.random(shape)))  # type: ignore[attr-defined]
    made.empty_like = lambda array: empty(array.shape, array.dtype)  # type: ignore[attr-defined]
    made.copyto = _copy  # type: ignore[attr-defined]
    made.__version__ = "14.2.0"  # type: ignore[attr-defined]
    made.linalg = SimpleNamespace(**{n: _of_numpy(n) for n in ("svd", "eigh", "inv")})  # type: ignore[attr-defined]
    pool = SimpleNamespace(free_bytes=lambda: 0)
    made.get_default_memory_pool = lambda: pool  # type: ignore[attr-defined]
    made.cuda = SimpleNamespace(  # type: ignore[attr-defined]
        Device=Device,
        ExternalStream=ExternalStream,
        Event=Event,
        get_elapsed_time=elapsed,
        runtime=_runtime(),
        cublas=SimpleNamespace(gemmStridedBatchedEx=gemm_strided_batched_ex),
        device=SimpleNamespace(get_cublas_handle=_handle),
        nvrtc=SimpleNamespace(getVersion=lambda: (13, 0)),
    )
    return made


@contextmanager
def installed() -> Iterator[State]:
    """Put the stand-in where CuPy would be, with a registry that has not looked yet."""
    from sparseopt_cupy import launching, planning, tuned

    from sparseopt.choosing import availability, discovery

    before, registry = sys.modules.get("cupy"), discovery._installed

    def forget() -> None:
        availability.is_installed.cache_clear()
        launching.compiled.cache_clear()
        planning.figures.cache_clear()
        tuned.steps_of.cache_clear()

    forget()
    state.__init__()  # type: ignore[misc]
    sys.modules["cupy"] = module()
    discovery._installed = None
    try:
        yield state
    finally:
        sys.modules.pop("cupy")
        if before is not None:
            sys.modules["cupy"] = before
        discovery._installed = registry
        forget()
