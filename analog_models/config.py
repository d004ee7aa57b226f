# SPDX-License-Identifier: Apache-2.0
"""Frozen configurations whose every number carries a unit and a source."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

__all__ = ["Sourced", "check", "number"]


def number(unit: str, meaning: str) -> Any:
    """Declare a dataclass field that holds one physical number.

    Parameters
    ----------
    unit : str
        SI unit, or ``"1"`` for a pure number.
    meaning : str
        One line for ``crossforge presets``.
    """
    return field(metadata={"unit": unit, "meaning": meaning})


def check(holds: bool, name: str, constraint: str, value: object) -> None:
    """Refuse ``value`` with ``<name> must be <constraint>, not <value>`` unless ``holds``."""
    if not holds:
        raise ValueError(f"{name} must be {constraint}, not {value!r}")


@dataclass(frozen=True, kw_only=True)
class Sourced:
    """Base of the physical configurations.

    Parameters
    ----------
    sources : mapping of str to str
        For every number: the publication that gives it, or ``"assumed"`` with the reason.
    """

    sources: Mapping[str, str] = field(repr=False, compare=False)

    def __post_init__(self):
        names = {f.name for f in fields(self) if "unit" in f.metadata}
        missing = sorted(names - set(self.sources))
        if missing:
            raise ValueError(f"sources must name every number, not leave out {', '.join(missing)}")

    @classmethod
    def of(cls, **named: Any) -> Self:
        """Build from ``name=(value, source)`` pairs; nested configurations go in bare."""
        plain = {k: v for k, v in named.items() if not isinstance(v, tuple)}
        pairs = {k: v for k, v in named.items() if isinstance(v, tuple)}
        values = {k: v for k, (v, _) in pairs.items()}
        return cls(sources={k: s for k, (_, s) in pairs.items()}, **values, **plain)

    def but(self, **named: Any) -> Self:
        """Return a copy with some ``name=(value, source)`` pairs (or bare parts) replaced."""
        plain = {k: v for k, v in named.items() if not isinstance(v, tuple)}
        pairs = {k: v for k, v in named.items() if isinstance(v, tuple)}
        values = {k: v for k, (v, _) in pairs.items()}
        sources = {**self.sources, **{k: s for k, (_, s) in pairs.items()}}
        return replace(self, sources=sources, **values, **plain)

    def numbers(self, prefix: str = "") -> list[tuple[str, object, str, str, str]]:
        """List ``(name, value, unit, meaning, source)`` of every number, parts included."""
        out: list[tuple[str, object, str, str, str]] = []
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, Sourced):
                out += value.numbers(f"{prefix}{f.name}.")
            elif "unit" in f.metadata:
                meta = f.metadata
                source = self.sources[f.name]
                out.append((prefix + f.name, value, meta["unit"], meta["meaning"], source))
        return out
