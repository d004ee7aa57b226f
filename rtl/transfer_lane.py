# SPDX-License-Identifier: Apache-2.0
"""One column of a weight transfer: its goal, its aim, and the pulses that are left."""

from amaranth import *
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from analog_models.tile import HOLD, RESET
from golden.transfer import GAIN_SHIFT, TABLE_SHIFT, TUNE_MAX, TUNE_SHIFT

from .tile_port import program_lane

__all__ = ["Cell", "Step", "TransferLane", "TransferRegisters", "goal_shape", "pulse_shape"]

#: Wanted weight, in read codes: a reading and all that the gain can add, or the host's.
goal_shape = signed(13)
#: Capacitor pulses of one tuning round.
pulse_shape = signed(6)


class Step(enum.Enum, shape=4):
    """Operation within the transfer of a row."""

    OLD = 0  # old polarity
    GOAL = 1  # read the weights
    NEW = 2  # new polarity
    INIT = 3
    ERASE = 4  # RESET all
    LEFT = 5  # read what is left
    SET = 6
    VERIFY = 7  # read what it made
    RETRY = 8  # RESET those that missed
    TUNE = 9
    TUNED = 10  # read what it made


class TransferRegisters(data.Struct):
    """Configuration of a transfer; see :class:`golden.config.TransferConfig` for the meaning."""

    old: 1  # polarity before, 1 is -1
    new: 1  # polarity after
    capacitor: 1  # the cells have capacitors: INIT and TUNE
    log2_reads: 3
    retries: 5
    tune_rounds: 4
    set_tolerance: 12
    small_target: 12
    tune_tolerance: 12
    fail_tolerance: 12
    offset: 12  # 0..2047
    tune_mult: 12  # capacitor pulses per read code, 2**-6
    gain: signed(15)  # share that a weight gains, 2**-14
    transfers: 4  # transfers so far, low bits


class Cell(data.Struct):
    """What a row remembers of a column from one shot to the next."""

    aim: signed(19)  # +-8190 and at most 31 times half of that again
    todo: 1  # its last shot missed


class TransferLane(wiring.Component):
    """Arithmetic of one column, in three stages; nothing saturates but the pulse count.

    Golden: :func:`golden.transfer.settled`, ``set_codes``, ``tune_pulses`` and what lies between
    them in ``transfer_row``. Stage 1 is the cycle in which the memories answer; with ``move`` what
    is in a stage goes to the next. Results of a column that is not used are 0.

    Members
    -------
    config : ``In(TransferRegisters)``
    step : ``In(Step)``
    move : ``In(1)``
    used : ``In(1)``
        Stage 1: the column exists.
    code : ``In(signed(12))``
        Stage 1: the reading.
    goal : ``In(goal_shape)``, cell : ``In(Cell)``, pulses : ``In(pulse_shape)``
        Stage 1: what the memories hold.
    index : ``Out(8)``
        Stage 1: entry of the table of durations.
    duration : ``In(7)``
        Stage 2: that entry.
    cell_next : ``Out(Cell)``
        Stage 2: after LEFT and VERIFY.
    phase : ``In(4)``
        Stage 3: of the dither.
    goal_next : ``Out(goal_shape)``
        Stage 3: after GOAL.
    pulses_next : ``Out(pulse_shape)``
        Stage 3: after VERIFY and TUNED.
    square : ``Out(26)``, failed : ``Out(1)``
        Stage 3: of the error, after VERIFY and TUNED.
    w : ``Out(program_lane)``, registered
        Stage 3: codes of ERASE, SET and RETRY, pulses of TUNE.
    spent : ``Out(5)``
        Stage 3: SET shots or capacitor pulses in ``w``.
    """

    def __init__(self):
        super().__init__({
            "config": In(TransferRegisters),
            "step": In(Step),
            "move": In(1),
            "used": In(1),
            "code": In(signed(12)),
            "goal": In(goal_shape),
            "cell": In(Cell),
            "pulses": In(pulse_shape),
            "index": Out(8),
            "duration": In(7),
            "cell_next": Out(Cell),
            "phase": In(4),
            "goal_next": Out(goal_shape),
            "pulses_next": Out(pulse_shape),
            "square": Out(26),
            "failed": Out(1),
            "w": Out(program_lane),
            "spent": Out(5),
        })

    def elaborate(self, platform):
        m = Module()
        config, step = self.config, self.step

        # stage 1: the error, or the reading that becomes the goal
        error_1 = Signal(signed(14))
        size = Signal(18)
        entry = Signal(18 - TABLE_SHIFT)
        m.d.comb += [
            error_1.eq(self.goal - self.code),
            size.eq(abs(self.cell.aim)),
            entry.eq(size >> TABLE_SHIFT),
            self.index.eq(Mux(entry > 255, 255, entry)),
        ]
        error, small, pulses = Signal(signed(14)), Signal(), Signal(pulse_shape)
        factor = Signal(signed(15))  # of the error
        cell = Signal(Cell)
        with m.If(self.move):
            m.d.sync += [
                error.eq(Mux(step == Step.GOAL, self.code, error_1)),
                factor.eq(Mux(step == Step.GOAL, config.gain, error_1)),
                cell.aim.eq(self.cell.aim),
                cell.todo.eq(self.cell.todo | (step == Step.ERASE) | (step == Step.LEFT)),
                small.eq(size < config.small_target),
                pulses.eq(self.pulses),
            ]
            with m.If(~self.used):
                m.d.sync += [error.eq(0), cell.todo.eq(0)]

        # stage 2: the verdict and the next aim; products; what goes to the tile
        miss = Signal(signed(14))
        offset = Signal(signed(13))  # there long before the first reading
        m.d.sync += offset.eq(Mux(config.new, config.offset, -config.offset))
        tolerance = config.set_tolerance

        def beyond(bound):
            """Return whether the error is larger: of -error, which is late, ~error is known."""
            return Mux(error < 0, ~error >= bound, error > bound)

        m.d.comb += [
            miss.eq(error + offset),
            self.cell_next.aim.eq(cell.aim + (miss >> 1)),
            self.cell_next.todo.eq(cell.todo & ((miss > tolerance) | (miss < -tolerance))),
        ]
        with m.If(step == Step.LEFT):
            m.d.comb += [self.cell_next.aim.eq(miss), self.cell_next.todo.eq(cell.todo)]

        error_3, product = Signal(signed(14)), Signal(signed(29))
        scaled, half, tunes = Signal(25), Signal(13), Signal()
        shot = Signal(7)
        m.d.comb += shot.eq(Mux(cell.todo & ~small, self.duration, HOLD))
        with m.If(self.move):
            m.d.sync += [
                error_3.eq(error),
                product.eq(error * factor),
                scaled.eq(Mux(error < 0, ~error, error)[:13] * config.tune_mult),
                # |error| is one more than ~error where it is negative
                half.eq((1 << (TUNE_SHIFT - 1)) + Mux(error < 0, config.tune_mult, 0)),
                tunes.eq(beyond(config.tune_tolerance)),
                self.failed.eq(beyond(config.fail_tolerance)),
            ]
            with m.Switch(step):
                with m.Case(Step.SET):
                    m.d.sync += [
                        self.w.plus.eq(Mux(cell.aim > 0, shot, HOLD)),
                        self.w.minus.eq(Mux(cell.aim < 0, shot, HOLD)),
                    ]
                with m.Case(Step.TUNE):
                    m.d.sync += [self.w.plus.eq(pulses), self.w.minus.eq(0)]
                with m.Default():
                    m.d.sync += [
                        self.w.plus.eq(Mux(cell.todo, RESET, HOLD)),
                        self.w.minus.eq(Mux(cell.todo, RESET, HOLD)),
                    ]

        # stage 3: the goal; the pulses that are left; what was spent
        dither = Signal(GAIN_SHIFT)
        rounded = Signal(25 + 1 - TUNE_SHIFT)
        count = Signal(range(TUNE_MAX + 1))
        tuned = Signal(signed(7))
        m.d.comb += [
            dither.eq(((self.phase << 1) | 1) << (GAIN_SHIFT - 5)),
            self.goal_next.eq(error_3 + ((product + dither) >> GAIN_SHIFT)),
            rounded.eq((scaled + half) >> TUNE_SHIFT),
            # TUNE_MAX is all ones: quicker to see than to compare with
            count.eq(Mux(rounded[len(count) :].any(), TUNE_MAX, rounded)),
            self.pulses_next.eq(Mux(tunes, Mux(error_3 < 0, -count, count), 0)),
            self.square.eq(product),
            tuned.eq(self.w.plus),
            self.spent.eq((self.w.plus | self.w.minus).any()),
        ]
        with m.If(step == Step.TUNE):
            m.d.comb += self.spent.eq(abs(tuned))
        return m
