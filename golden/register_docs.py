# SPDX-License-Identifier: Apache-2.0
"""A register map for its readers: Markdown, SystemRDL 2.0, Python constants."""

from .register_map import ACCESS, WORD, Field, Register, RegisterMap, Window

__all__ = ["markdown", "python_constants", "system_rdl"]


def _access(entry: Register | Window) -> str:
    if isinstance(entry, Window):
        return ("rw" if entry.readable else "wo") + ", written while idle"
    return entry.access + (", written while idle" if entry.idle_only else "")


def _meaning(field: Field) -> str:
    return field.meaning + (", signed" if field.signed else "")


def _hex(value: int, digits: int = 1) -> str:
    return f"0x{value:0{digits}X}"


def markdown(registers: RegisterMap) -> str:
    """Tables of all registers, fields and windows."""
    offsets, fields = [], []
    for e in registers.entries:
        at = f"`{_hex(registers.offset[e.name], 4)}`"
        several = isinstance(e, Window) or e.count is not None
        if several:
            at += f" + 4i, i < {e.words}"
        offsets.append((at, f"`{e.name}`", _access(e), e.meaning))
        if isinstance(e, Window):
            fields.append((f"`{e.name}`", f"{e.width - 1}:0", "", "", e.meaning))
            continue
        for low, f in e.shifts():
            bits = f"{low + f.width - 1}:{low}" if f.width > 1 else f"{low}"
            reset = _hex(f.reset) if f.reset else "0"
            fields.append((f"`{e.name}`", bits, f"`{f.name}`", reset, _meaning(f)))
    lines = [
        "# Registers",
        "",
        f"Words have {WORD} bits; offsets count bytes. Bits that no field names read 0.",
        "",
        *(f"- {name}: {meaning}" for name, meaning in ACCESS.items()),
        "- wo: a memory that is written in whole words; reads 0",
        "- written while idle: a write while the controller is busy is an error",
        "",
        *_table(("offset", "register", "access", "meaning"), offsets),
        "",
        "## Fields",
        "",
        *_table(("register", "bits", "field", "reset", "meaning"), fields),
    ]
    return "\n".join(lines) + "\n"


def _table(head, rows) -> list[str]:
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *escaped)]


def system_rdl(registers: RegisterMap, name: str = "crossforge") -> str:
    """SystemRDL 2.0 description (Accellera, January 2018)."""
    lines = [
        f"addrmap {name} {{",
        "    addressing = regalign;",
        "    default regwidth = 32;",
        "    default accesswidth = 32;",
    ]
    for e in registers.entries:
        place = f"@ {_hex(registers.offset[e.name])}"
        if isinstance(e, Window):
            lines += [
                "    external mem {",
                f"        desc = {_quoted(f'{e.meaning} Low {e.width} bits; {_access(e)}.')};",
                f"        mementries = {e.words};",
                f"        memwidth = {WORD};",
                f"        sw = {'rw' if e.readable else 'w'};",
                f"    }} {e.name} {place};",
            ]
            continue
        note = " Written while idle." if e.idle_only else ""
        lines += ["    reg {", f"        desc = {_quoted(e.meaning + note)};"]
        for low, f in e.shifts():
            kind = {"rw": "sw = rw; hw = r;", "pulse": "sw = w; hw = r; singlepulse;"}
            constant = f"sw = r; hw = {'na' if f.reset else 'w'};"
            lines += [
                "        field {",
                f"            desc = {_quoted(_meaning(f))};",
                f"            {kind.get(e.access, constant)}",
                f"        }} \\{f.name} [{low + f.width - 1}:{low}] = {_hex(f.bits(f.reset))};",
            ]
        array = "" if e.count is None else f"[{e.count}]"
        stride = "" if e.count is None else " += 4"
        lines.append(f"    }} {e.name}{array} {place}{stride};")
    return "\n".join([*lines, "};"]) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def python_constants(registers: RegisterMap) -> str:
    """Source of a Python module: offsets, lengths, and a shift and a mask for every field."""
    lines = ['"""Registers: byte offsets, lengths of arrays, shifts and masks of fields."""', ""]
    for e in registers.entries:
        lines.append(f"{e.name} = {_hex(registers.offset[e.name], 4)}  # {e.meaning}")
        if isinstance(e, Window) or e.count is not None:
            lines.append(f"{e.name}_WORDS = {e.words}")
        if isinstance(e, Window):
            continue
        for low, f in e.shifts():
            field = f"{e.name}_{f.name.upper()}"
            lines.append(f"{field}_SHIFT = {low}  # {_meaning(f)}")
            lines.append(f"{field}_MASK = {_hex((1 << f.width) - 1)}")
    return "\n".join(lines) + "\n"
