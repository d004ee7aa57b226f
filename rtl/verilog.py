# SPDX-License-Identifier: Apache-2.0
"""Writes a component as Verilog that a person can read."""

import hashlib
import re
from pathlib import Path

from amaranth._toolchain.yosys import find_yosys
from amaranth.back import rtlil

__all__ = ["TIDY", "digest", "to_rtlil", "to_verilog", "write_verilog"]

#: Yosys commands that shorten a netlist and keep its hierarchy and the names of its signals.
#: Processes become muxes and registers with enable and reset; no ``x`` is brought in.
TIDY = (
    "proc -norom",
    "memory_collect",
    "opt_expr",
    "opt_merge",
    "opt_clean",
    "opt_dff -simple-dffe",
    "wreduce",
    "opt_merge",
    "opt_clean",
)

#: Attributes that say nothing to a reader of the Verilog.
_ATTRIBUTES = (
    "generator",
    "top",
    "src",
    "amaranth.hierarchy",
    "amaranth.decoding",
    "full_case",  # means nothing once processes are muxes
    "unused_bits",
)


def to_rtlil(component, *, name: str, emit_src: bool = False) -> str:
    """Return the netlist of a component as RTLIL.

    Modules are named by their place, ``<name>_<submodule>_...``, instead of with dots, which
    Verilog would have to escape.
    """
    text = rtlil.convert(component, name=name, emit_src=emit_src)
    names: dict[str, str] = {}
    for old in re.findall(r"^module \\(\S+)$", text, re.MULTILINE):
        new = re.sub(r"\W+", "_", old)
        while new in names.values():
            new += "_"
        names[old] = new

    def renamed(match):
        return match[1] + names.get(match[2], match[2])

    return re.sub(r"^(module \\|\s*cell \\)(\S+)", renamed, text, flags=re.MULTILINE)


def digest(component) -> str:
    """Return a hash of a component's netlist: the same for the same class and parameters."""
    return hashlib.sha256(to_rtlil(component, name="top").encode()).hexdigest()[:16]


def to_verilog(component, *, name: str) -> str:
    """Return the Verilog of a component, with hierarchy and names kept.

    Parameters
    ----------
    component : wiring.Component
    name : str
        Name of the top module.
    """
    if not re.fullmatch(r"[A-Za-z_]\w*", name):
        raise ValueError(f"name must be a Verilog identifier, not {name!r}")
    remove = " ".join(f"-remove {attribute}" for attribute in _ATTRIBUTES)
    script = [
        f"read_rtlil <<rtlil\n{to_rtlil(component, name=name)}\nrtlil",
        *TIDY,
        f"attrmap {remove}",
        f"attrmap -modattr {remove}",
        "write_verilog",
    ]
    # Warnings are ignored as Amaranth's own backend does; cosim.lint checks the result.
    yosys = find_yosys(lambda version: version >= (0, 40))
    return yosys.run(["-q", "-"], "\n".join(script), ignore_warnings=True)


def write_verilog(component, path, *, name: str) -> Path:
    """Write the Verilog of a component to ``path``; return the path.

    Parameters
    ----------
    component : wiring.Component
    path : path-like
        File to write; its folder is created.
    name : str
        Name of the top module.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_verilog(component, name=name))
    return path
