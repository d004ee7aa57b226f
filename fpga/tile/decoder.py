# SPDX-License-Identifier: Apache-2.0
"""What an operation of an emulated tile wants of the array, decoded into registers."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.reduce import or_tree
from rtl.tile_port import TileOp

from .array import VISIT_STAGES
from .cells import Task
from .tiles_layout import KINDS

__all__ = ["READ", "TileDecoder"]

#: Kinds of conversions, see :data:`fpga.tile.tiles_layout.KINDS`.
_FORWARD, _BACKWARD, READ = range(KINDS)

#: Flags, and the operations in which they are 1.
_FLAGS = {
    "forward": (TileOp.FORWARD,),
    "backward": (TileOp.BACKWARD,),
    "read": (TileOp.READ,),
    "tunes": (TileOp.TUNE,),
    "adds": (TileOp.FORWARD, TileOp.READ),
    "steps": (TileOp.TUNE, TileOp.AGE),
    "passes": (TileOp.FORWARD, TileOp.BACKWARD),
    "converts": (TileOp.FORWARD, TileOp.BACKWARD, TileOp.READ),
    "ages": (TileOp.AGE,),
    "programs": (TileOp.PROGRAM,),
    "inits": (TileOp.INIT,),
    "dense": (TileOp.AGE, TileOp.INIT, TileOp.BACKWARD),
    "whole_rows": (TileOp.FORWARD, TileOp.READ, TileOp.AGE),
}


class TileDecoder(wiring.Component):
    """Decode an operation a cycle before it is the one in turn: long paths begin here.

    Members
    -------
    upcoming : ``In(4)``
        Operation of the next cycle; all that follows is of this one.
    forward, backward, read, tunes, ages, programs, inits : ``Out(1)``
        It is this one.
    adds, steps, converts : ``Out(1)``
        Each lane adds up; it moves capacitors; it has results.
    passes : ``Out(1)``
        It is FORWARD or BACKWARD, which may begin while cells are stepped.
    dense, whole_rows : ``Out(1)``
        All its rows or cells are visited; all words of a row are.
    task : ``Out(Task)``, kind : ``Out(2)``
        Of the cell engine, of the conversion.
    behind : ``Out(VISIT_STAGES + 1)``
        Stages of the lanes that must be empty, a cycle before it converts.
    """

    def __init__(self):
        super().__init__({
            "upcoming": In(4),
            **dict.fromkeys(_FLAGS, Out(1)),
            "task": Out(Task),
            "kind": Out(2),
            "behind": Out(VISIT_STAGES + 1),
        })

    def elaborate(self, platform):
        m = Module()
        for name, ops in _FLAGS.items():
            m.d.sync += getattr(self, name).eq(or_tree([self.upcoming == op for op in ops]))

        # It takes some cycles to reach the same place. A multiplier is free for a conversion 3
        # cycles after the decision to convert, and sums are read 4 after it.
        def decode(task=Task.DRIFT, kind=_FORWARD, behind=0):
            m.d.sync += [self.task.eq(task), self.kind.eq(kind), self.behind.eq(behind)]

        with m.Switch(self.upcoming):
            with m.Case(TileOp.FORWARD):
                decode(behind=0b11)
            with m.Case(TileOp.READ):
                decode(kind=READ, behind=0b11)
            with m.Case(TileOp.BACKWARD):
                decode(kind=_BACKWARD, behind=0b11111)
            with m.Case(TileOp.PROGRAM):
                decode(task=Task.PROGRAM)
            with m.Case(TileOp.INIT):
                decode(task=Task.INIT)
            with m.Default():
                decode()
        return m
