# SPDX-License-Identifier: Apache-2.0
"""Sequencer: runs the compiled program."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from golden.program import Op

__all__ = ["Sequencer", "Word"]


class Word(data.Struct):
    """One instruction; see :class:`golden.program.Instruction`."""

    op: 4
    layer: 4
    target: 8


class Sequencer(wiring.Component):
    """Fetch instructions, start the units, wait for them, jump.

    Golden: :func:`golden.program.compile_program`, :meth:`golden.machine.Machine.run`. An
    instruction that starts a unit takes 2 cycles and those in which the unit is busy; LOAD takes 1
    cycle once its example is there, JUMP, SKIP_ZERO, AGE and TRANSFER that are not due take 1; a
    run begins with 1 more.

    Parameters
    ----------
    depth : int
        Instructions.

    Members
    -------
    program_addr, program_data, program_en : ``In``
        Write an instruction. Not while a program runs.
    start : ``In(1)``, start_pc : ``In(8)``, examples : ``In(32)``
        Run from ``start_pc`` until LOAD has delivered ``examples`` examples.
    stop : ``In(1)``
        End at the next LOAD.
    running : ``Out(1)``
    done : ``Out(1)``
        1 for the cycle in which the run ends.
    pc : ``Out(8)``, word : ``Out(Word)``
        What is being executed; ``word`` holds while a unit works.
    launch : ``Out(1)``
        1 for the cycle in which the units start on ``word``.
    busy : ``In(1)``
        Some unit works: from the cycle after ``launch`` on.
    finish : ``Out(1)``
        1 for the cycle in which an instruction ends.
    over : ``Out(1)``
        As ``finish``, of those that units worked on; it is there sooner in the cycle.
    ready : ``In(1)``, take : ``Out(1)``
        An example is there; use it.
    nonzero : ``In(1)``
        The errors are not all zero: SKIP_ZERO goes on.
    age_due, transfer_due : ``In(1)``
    bad : ``Out(1)``
        There is no such instruction; the sequencer stands.
    """

    def __init__(self, depth):
        self.depth = depth
        super().__init__({
            "program_addr": In(range(depth)),
            "program_data": In(Word),
            "program_en": In(1),
            "start": In(1),
            "start_pc": In(8),
            "examples": In(32),
            "stop": In(1),
            "running": Out(1),
            "done": Out(1),
            "pc": Out(8),
            "word": Out(Word),
            "launch": Out(1),
            "busy": In(1),
            "finish": Out(1),
            "over": Out(1),
            "ready": In(1),
            "take": Out(1),
            "nonzero": In(1),
            "age_due": In(1),
            "transfer_due": In(1),
            "bad": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.program = program = Memory(shape=Word, depth=self.depth, init=[])
        write, read = program.write_port(), program.read_port()
        m.d.comb += [
            write.addr.eq(self.program_addr),
            write.data.eq(self.program_data),
            write.en.eq(self.program_en),
        ]

        follow = Signal(8)  # the next instruction
        fetch = Signal()
        left, none_left, stopping = Signal(32), Signal(), Signal()
        m.d.comb += [
            follow.eq(self.pc + 1),
            read.addr.eq(follow),
            read.en.eq(fetch),
            self.word.eq(read.data),
        ]
        with m.If(fetch):
            m.d.sync += self.pc.eq(follow)
        with m.If(self.stop):
            m.d.sync += stopping.eq(1)

        def go_on():
            m.d.comb += [fetch.eq(1), self.finish.eq(1)]
            m.next = "EXECUTE"

        with m.FSM() as fsm:
            m.d.comb += self.running.eq(~fsm.ongoing("IDLE"))

            with m.State("IDLE"):
                m.d.sync += [left.eq(self.examples), none_left.eq(self.examples == 0)]
                m.d.sync += stopping.eq(0)
                with m.If(self.start):
                    m.d.comb += [follow.eq(self.start_pc), fetch.eq(1)]
                    m.next = "EXECUTE"

            with m.State("EXECUTE"):
                with m.Switch(self.word.op):
                    with m.Case(Op.LOAD):
                        with m.If(none_left | stopping):
                            m.d.comb += self.done.eq(1)
                            m.next = "IDLE"
                        with m.Elif(self.ready):
                            m.d.comb += self.take.eq(1)
                            m.d.sync += [left.eq(left - 1), none_left.eq(left == 1)]
                            go_on()
                    with m.Case(Op.JUMP):
                        m.d.comb += follow.eq(self.word.target)
                        go_on()
                    with m.Case(Op.SKIP_ZERO):
                        with m.If(~self.nonzero):
                            m.d.comb += follow.eq(self.word.target)
                        go_on()
                    with m.Case(Op.AGE):
                        with m.If(self.age_due):
                            m.d.comb += self.launch.eq(1)
                            m.next = "WAIT"
                        with m.Else():
                            go_on()
                    with m.Case(Op.TRANSFER):
                        with m.If(self.transfer_due):
                            m.d.comb += self.launch.eq(1)
                            m.next = "WAIT"
                        with m.Else():
                            go_on()
                    with m.Case(
                        *(
                            op
                            for op in Op
                            if op not in (Op.LOAD, Op.JUMP, Op.SKIP_ZERO, Op.AGE, Op.TRANSFER)
                        )
                    ):
                        m.d.comb += self.launch.eq(1)
                        m.next = "WAIT"
                    with m.Default():
                        m.d.comb += self.bad.eq(1)

            with m.State("WAIT"):
                with m.If(~self.busy):
                    m.d.comb += self.over.eq(1)
                    go_on()
        return m
