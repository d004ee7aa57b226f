# SPDX-License-Identifier: Apache-2.0
"""A register map, described once: gateware, host constants and documents come from it.

Words have 32 bits and offsets count bytes. Every register array and every window takes a
power-of-two size and is aligned to it, so that an address is a name in its high bits and an
index in its low bits.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from analog_models.config import check

__all__ = ["ACCESS", "WORD", "Field", "Register", "RegisterMap", "Window"]

#: Bits of a word.
WORD = 32
#: What a host may do with a register.
ACCESS = {
    "rw": "read and write",
    "ro": "read only; a write is an error",
    "pulse": "writing 1 acts once; reads 0",
}


def _check_name(name: str, pattern: str, constraint: str) -> None:
    check(re.fullmatch(pattern, name) is not None, "name", constraint, name)


@dataclass(frozen=True)
class Field:
    """Some bits of a register; the first field of a register is the lowest.

    Parameters
    ----------
    name : str
    width : int, bits
    meaning : str
    reset : int
        Value after reset, of a read-only field: while nothing drives it.
    signed : bool
        Two's complement.
    """

    name: str
    width: int
    meaning: str
    reset: int = 0
    signed: bool = False

    def __post_init__(self):
        _check_name(self.name, "[a-z][a-z0-9_]*", "a lower-case identifier")
        check(1 <= self.width <= WORD, "width", f"within 1..{WORD}", self.width)
        self.bits(self.reset)

    @property
    def range(self) -> tuple[int, int]:
        """Least and largest value."""
        top = 1 << (self.width - self.signed)
        return (-top if self.signed else 0), top - 1

    def bits(self, value: int) -> int:
        """Raw bits of a value; refuses one that does not fit."""
        low, high = self.range
        whole = isinstance(value, int | np.integer) and low <= value <= high
        check(whole, self.name, f"a whole number within {low}..{high}", value)
        return int(value) & ((1 << self.width) - 1)

    def value(self, bits: int) -> int:
        """Value of raw bits; higher ones do not matter."""
        bits &= (1 << self.width) - 1
        return bits - (self.signed * (bits >> (self.width - 1)) << self.width)


@dataclass(frozen=True)
class Register:
    """A register, or an array of equal ones.

    Parameters
    ----------
    name : str
    access : str
        A key of :data:`ACCESS`.
    fields : tuple of Field
        From bit 0 upwards without gaps.
    meaning : str
    count : int or None
        Registers in the array, also if it is 1; None for a single register.
    idle_only : bool
        Writing while the controller is busy is an error.
    """

    name: str
    access: str
    fields: tuple[Field, ...]
    meaning: str
    count: int | None = None
    idle_only: bool = False

    def __post_init__(self):
        _check_name(self.name, "[A-Z][A-Z0-9_]*", "an upper-case identifier")
        check(self.access in ACCESS, "access", f"one of {', '.join(ACCESS)}", self.access)
        check(1 <= self.width <= WORD, "width", f"within 1..{WORD}", self.width)
        names = [f.name for f in self.fields]
        check(len(set(names)) == len(names), "fields", "unlike each other", names)
        check(self.count is None or self.count > 0, "count", "positive, or None", self.count)

    @property
    def width(self) -> int:
        """Bits that are used."""
        return sum(f.width for f in self.fields)

    @property
    def words(self) -> int:
        """Words from its offset on that exist."""
        return self.count or 1

    def shifts(self) -> Iterable[tuple[int, Field]]:
        """Lowest bit of every field, and the field."""
        at = 0
        for f in self.fields:
            yield at, f
            at += f.width


@dataclass(frozen=True)
class Window:
    """A memory behind the bus: one word an entry, written only while the controller is idle.

    Parameters
    ----------
    name : str
    words : int
        Entries.
    width : int, bits
        Used bits of an entry.
    meaning : str
    readable : bool
    """

    name: str
    words: int
    width: int
    meaning: str
    readable: bool = False

    def __post_init__(self):
        _check_name(self.name, "[A-Z][A-Z0-9_]*", "an upper-case identifier")
        check(self.words > 0, "words", "positive", self.words)
        check(1 <= self.width <= WORD, "width", f"within 1..{WORD}", self.width)


class RegisterMap:
    """Registers and windows with their offsets, in the order of the entries.

    Parameters
    ----------
    entries : iterable of Register or Window

    Attributes
    ----------
    entries : tuple of Register or Window
    offset : dict of str to int, bytes
    addr_width : int
        Bits of a byte address.
    """

    def __init__(self, entries: Iterable[Register | Window]):
        self.entries = tuple(entries)
        self._entry = {e.name: e for e in self.entries}
        names = [e.name for e in self.entries]
        check(len(self._entry) == len(names), "names", "unlike each other", names)
        self.offset: dict[str, int] = {}
        end = 0
        for e in self.entries:
            size = self.size(e.name)
            self.offset[e.name] = -(-end // size) * size
            end = self.offset[e.name] + size
        self.addr_width = max(3, (end - 1).bit_length())

    def __getitem__(self, name: str) -> Register | Window:
        check(name in self._entry, "name", f"one of {', '.join(self._entry)}", name)
        return self._entry[name]

    def size(self, name: str) -> int:
        """Bytes that an entry takes, a power of two; those past its last word do not exist."""
        return 4 << (self[name].words - 1).bit_length()

    def address(self, name: str, index: int = 0) -> int:
        """Byte address of a register, or of entry ``index`` of an array or a window."""
        words = self[name].words
        inside = isinstance(index, int | np.integer) and 0 <= index < words
        check(inside, "index", f"a whole number within 0..{words - 1}", index)
        return self.offset[name] + 4 * int(index)

    def register(self, name: str) -> Register:
        """Return the register of a name; refuses windows."""
        entry = self[name]
        if not isinstance(entry, Register):
            raise ValueError(f"name must be a register, not window {name!r}")
        return entry

    def encode(self, name: str, **values: int) -> int:
        """Word of a register; a field that is left out has its reset value.

        Raises
        ------
        ValueError
            If a value does not fit, or if there is no such field.
        """
        register = self.register(name)
        fields = [f.name for f in register.fields]
        for key in values:
            check(key in fields, "field", f"one of {', '.join(fields)}", key)
        return sum(f.bits(values.get(f.name, f.reset)) << at for at, f in register.shifts())

    def decode(self, name: str, word: int) -> dict[str, int]:
        """Values of all fields of a word."""
        return {f.name: f.value(word >> at) for at, f in self.register(name).shifts()}
