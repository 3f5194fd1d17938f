"""Reading pickles as data: nothing that a file names is imported, called or changed.

Every class and function of a file is a name. Calls of the few names that plain containers need, and of those that the
reader of a file format adds, are carried out by functions of this toolbox; all others become placeholders. NumPy's
scalars become Python numbers, its arrays stand-ins that are converted where one is needed.
"""

import pickle
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, BinaryIO

import numpy as np

OPERATIONS = 2_000_000  # of one pickle; a training state of a large network needs 100,000
_TEXT = 100  # bytes whose copying counts as one operation
LONGEST_KEY = 16  # items of a tuple as the key of a dict
WIDEST_KEY = 64  # bits of a whole number as the key of a dict

#: Opcodes of binary pickles. Not those of text, of registered extensions, of buffers outside and of sized buffers.
_ALLOWED = """
    PROTO FRAME STOP MARK POP POP_MARK DUP NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT
    BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINBYTES8 BINUNICODE SHORT_BINUNICODE BINUNICODE8
    EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST LIST APPEND APPENDS EMPTY_DICT DICT SETITEM SETITEMS
    EMPTY_SET ADDITEMS FROZENSET BINGET LONG_BINGET BINPUT LONG_BINPUT MEMOIZE GLOBAL STACK_GLOBAL REDUCE BUILD
    NEWOBJ NEWOBJ_EX BINPERSID
"""
_CODES = {getattr(pickle, name)[0] for name in _ALLOWED.split()}

Function = Callable[..., Any]


class Name:
    """A class or function that a file names; it is never looked up."""

    def __init__(self, text: str):
        self.text = text  # with its module

    def __repr__(self) -> str:
        return ascii(self.text[:80])[1:-1]


class Placeholder:
    """Stands for an object of a class that is not read; it only keeps the object's state."""

    def __init__(self, name: Name):
        self.name = name
        self.state: Any = None


class NumpyType:
    """A dtype of NumPy by its code, such as `f8`, and its byte order."""

    CODES = frozenset(["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"])

    def __init__(self, code: Any, *flags: Any):
        self.code = code
        self.state: Any = None

    def read(self, data: Any) -> np.ndarray:
        """The numbers in bytes, or in the text that Python 2 wrote for bytes. Raises ValueError for other types."""
        order = self.state[1] if isinstance(self.state, tuple) and len(self.state) > 1 else "|"
        if not isinstance(self.code, str) or self.code not in self.CODES or order not in ("<", ">", "|", "="):
            raise ValueError(f"NumPy's type {str(self.code)[:20]!r} is not one of numbers")
        return np.frombuffer(data.encode("latin1") if isinstance(data, str) else bytes(data), order + self.code)


class NumpyArray:
    """An array of NumPy as it lies in a file: (version, shape, type, whether in Fortran's order, data)."""

    def __init__(self, *names: Any):
        self.state: Any = None

    def array(self) -> np.ndarray:
        """The array, of numbers. Raises ValueError where the file's shape, type and data do not fit."""
        try:
            _, shape, kind, fortran, data = self.state
            return kind.read(data).reshape(shape, order="F" if fortran else "C").copy()
        except (AttributeError, TypeError) as error:
            raise ValueError(f"an array of NumPy is not whole: {error}") from None


def _scalar(kind: Any, data: Any) -> Any:
    """A Python number; a placeholder's state where the type is not one of numbers."""
    if not isinstance(kind, NumpyType) or kind.code not in NumpyType.CODES:
        return data
    return kind.read(data).item()  # raises ValueError for more than one


def _ordered(items: Any = ()) -> OrderedDict[Any, Any]:
    return OrderedDict((_key(key), value) for key, value in items)


def _counter(items: Any = ()) -> Counter[Any]:
    return Counter({_key(key): value for key, value in items.items()} if isinstance(items, dict) else {})


#: Name that a file calls -> what is done here.
_FUNCTIONS: dict[str, Function] = {
    "collections.OrderedDict": _ordered,
    "collections.Counter": _counter,
    "collections.defaultdict": lambda *factory: {},
    "builtins.set": lambda items=(): {_key(item) for item in items},
    "builtins.frozenset": lambda items=(): frozenset(_key(item) for item in items),
    "builtins.bytes": lambda: b"",
    "builtins.complex": lambda real, imag=0.0: complex(float(real), float(imag)),
    "builtins.bytearray": lambda data=b"", coding="latin1": _bytes(data, coding),
    "_codecs.encode": lambda data, coding="latin1": _bytes(data, coding),
    "numpy.dtype": NumpyType,
    **{
        f"numpy.{core}.multiarray.{name}": function
        for core in ("core", "_core")
        for name, function in (("_reconstruct", NumpyArray), ("scalar", _scalar))
    },
}


def _bytes(data: Any, coding: Any) -> bytes:
    if coding not in ("latin1", "latin-1") or not isinstance(data, (str, bytes)):
        raise pickle.UnpicklingError("bytes are written in an unknown way")
    return data.encode("latin1") if isinstance(data, str) else data


def _key(key: Any) -> Any:
    """`key`, of a dict or set. Raises UnpicklingError for one whose hash could take long: tuples may be nested."""
    if isinstance(key, int) and key.bit_length() > WIDEST_KEY:
        raise pickle.UnpicklingError("a key is too large a number")
    if isinstance(key, tuple) and (len(key) > LONGEST_KEY or any(isinstance(item, tuple) for item in key)):
        raise pickle.UnpicklingError("a key is a nested or long tuple")
    return key


class _Counted:
    """The table of opcodes, which ends a pickle of too many operations."""

    def __init__(self, table: Mapping[int, Function]):
        self.table, self.left = table, OPERATIONS

    def __getitem__(self, code: int) -> Function:
        self.left -= 1
        if self.left < 0:
            raise pickle.UnpicklingError(f"its pickle has more than {OPERATIONS} operations")
        try:
            return self.table[code]
        except KeyError:
            raise pickle.UnpicklingError(
                f"its pickle has the byte {code:#04x} where an operation is expected"
            ) from None


_Python: Any = pickle._Unpickler  # type: ignore[attr-defined]  # the one in C offers no table of operations


class Unpickler(_Python):  # type: ignore[misc]
    """Reads one pickle. functions: name -> what is done instead of a call of it; stored: what a persistent id stands
    for. Raises UnpicklingError and any error of a function for what is not data."""

    def __init__(self, file: BinaryIO, functions: Mapping[str, Function], stored: Function):
        super().__init__(file, encoding="latin1")  # as Python 2 wrote the bytes of arrays
        self.functions, self.persistent_load = {**_FUNCTIONS, **functions}, stored
        self.dispatch = _Counted(self._table)
        self.work = OPERATIONS  # items that calls may copy

    def find_class(self, module: str, name: str) -> Name:
        module = {"__builtin__": "builtins", "copy_reg": "copyreg"}.get(module, module)  # Python 2 files
        return Name(f"{module}.{name}")

    def _call(self, function: Any, args: Any) -> Any:
        if not isinstance(function, Name) or not isinstance(args, tuple):
            raise pickle.UnpicklingError("it calls what is no function")
        known = self.functions.get(function.text)
        if known is None:
            return Placeholder(function)
        self.work -= sum(len(arg) for arg in args if isinstance(arg, (list, tuple, set, dict)))
        self.work -= sum(len(arg) for arg in args if isinstance(arg, (str, bytes))) // _TEXT
        if self.work < 0:
            raise pickle.UnpicklingError("it copies its content many times over")
        return known(*args)

    def _reduce(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = self._call(self.stack[-1], args)

    def _new_with_names(self) -> None:
        self.stack.pop()  # arguments by name; no function here takes any
        self._reduce()

    def _build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, (Placeholder, NumpyType, NumpyArray)):
            target.state = state  # others, such as the metadata of a state dict, are not read

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._fill([key, value])

    def _fill(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, dict):
            target.update((_key(key), value) for key, value in zip(items[::2], items[1::2], strict=True))
        elif not isinstance(target, Placeholder):
            raise pickle.UnpicklingError("it sets an item of what is no dict")

    def _make_dict(self) -> None:
        items = self.pop_mark()
        self.stack.append({})
        self._fill(items)

    def _extend(self, items: Iterable[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Placeholder):
            raise pickle.UnpicklingError("it appends to what is no list")

    def _add_items(self) -> None:
        items = self.pop_mark()
        target = self.stack[-1]
        if not isinstance(target, set):
            raise pickle.UnpicklingError("it adds to what is no set")
        target.update(map(_key, items))

    def _freeze(self) -> None:
        self.stack.append(frozenset(map(_key, self.pop_mark())))

    _table: Mapping[int, Function] = {
        **{code: function for code, function in _Python.dispatch.items() if code in _CODES},
        pickle.REDUCE[0]: _reduce,
        pickle.NEWOBJ[0]: _reduce,
        pickle.NEWOBJ_EX[0]: _new_with_names,
        pickle.BUILD[0]: _build,
        pickle.SETITEM[0]: _set_item,
        pickle.SETITEMS[0]: lambda self: self._fill(self.pop_mark()),
        pickle.DICT[0]: _make_dict,
        pickle.APPEND[0]: lambda self: self._extend([self.stack.pop()]),
        pickle.APPENDS[0]: lambda self: self._extend(self.pop_mark()),
        pickle.ADDITEMS[0]: _add_items,
        pickle.FROZENSET[0]: _freeze,
    }
