# SPDX-License-Identifier: Apache-2.0
"""The chip on a board, as an executor: what the golden engines do, done by gateware."""

import time
from collections.abc import Callable

import numpy as np

from analog_models.fixed_tile import FixedTile
from golden.config import ChipConfig
from golden.errors import ErrorCode
from golden.hardware import ControllerConfig
from golden.machine import COUNTERS, LAYER_COUNTERS, Machine
from golden.placement import WRITE_PC, Placement
from golden.program import Op
from golden.registers import ID, counter_names
from rtl.controller import host_bytes

from .board import Board, Registers
from .emulator import layouts, tile_address
from .host import packet
from .operations import Read
from .tile.layout import Plane, Register
from .transport import LinkError

__all__ = ["BoardEngine"]

#: Clock cycles that the controller waits for a tile; the longest operation, drift of all cells of
#: a tile of 512 x 512, takes 0.6 million.
_WATCHDOG = 1 << 22


class BoardEngine:
    """Runs a chip on a board; same bits as :class:`golden.engine.MachineEngine`.

    Parameters
    ----------
    chip : ChipConfig
    hw : ControllerConfig
        Of the board's controller.
    board : Board

    Attributes
    ----------
    cycles : dict of str to int
        Clock cycles of :meth:`train` so far, by instruction.
    lane_cycles : ndarray of int64, shape (tiles, 2)
        Cycles of :meth:`train` so far in which each tile multiplied cells, and those of its FORWARD
        and BACKWARD; right as long as one call takes less than 2**32 cycles.
    """

    def __init__(self, chip: ChipConfig, hw: ControllerConfig, board: Board):
        self.chip, self.hw, self.board = chip, hw, board
        self.machine = Machine(chip, FixedTile)
        self.layouts = layouts(chip, hw)
        self.place = Placement(chip, hw)
        self.registers = Registers(board, self.place.map)
        self.cycles = {op.name.lower(): 0 for op in Op}
        self.lane_cycles = np.zeros((len(self.layouts), 2), np.int64)
        self._counted: dict[str, np.ndarray] = {}  # before the counters were cleared
        self._negative = False
        self._size = host_bytes(hw.lanes)
        found = self.registers.word("ID")
        if found != ID:
            raise LinkError(
                f"the board must have the controller {ID:#x} at address 0, not {found:#x}: load a "
                "bitstream of crossforge"
            )
        self._check_sizes()
        self.registers.set("CONTROL", reset=1)
        self.registers.set("CONTROL", clear=1)
        board.flush()
        self.registers.write(self.place.setup(self.machine))
        self.registers.set("WATCHDOG", cycles=_WATCHDOG)
        self.restore(self._fresh())

    def _check_sizes(self) -> None:
        """Refuse a board that was built for another chip."""
        want = self.place.map.encode("SIZES")
        found = self.registers.word("SIZES")
        if found != want:
            have = self.place.map.decode("SIZES", found)
            raise LinkError(
                f"the board must have been built for this preset, but its controller has {have}: "
                "load the bitstream of this preset, or name the preset and lanes of the bitstream"
            )
        for t, layout in enumerate(self.layouts):
            address = tile_address(t, Plane.REGISTERS, Register.LAYOUT)
            if self.board.read(address)[0] != layout.digest:
                raise LinkError(
                    f"the board must have been built for this preset, but its tile {t} is not "
                    f"this one's of {layout.rows} x {layout.cols} cells: load the bitstream of "
                    "this preset, or name the preset of the bitstream"
                )

    # --- the executor

    def write_weights(self, weights) -> None:
        """Program initial weights (list of float arrays)."""
        goals = np.concatenate([g.ravel() for g in self.place.goals(weights)])
        self._start(WRITE_PC, 0)
        sent, last = 0, time.monotonic()
        while sent < len(goals):
            n = self.board.send_goals(goals[sent:])
            if n:
                sent, last = sent + n, time.monotonic()
            self._check_running(last)
        self._finish()

    def set_learning_rate(self, eta: float) -> None:
        """Write the registers that depend on the learning rate."""
        self.machine.set_learning_rate(eta)
        self.registers.write(self.place.rates(self.machine))

    def train(self, pixels, labels, order, progress: Callable[[int], None] | None = None):
        """Train on ``pixels[order]``; return the answers, ndarray of int."""
        before, lanes_before = self._cycles(), self._lane_cycles()
        answers = self._run(self.place.train_pc, pixels[order], labels[order], progress)
        after = self._cycles()
        for name in self.cycles:
            self.cycles[name] += after[name] - before[name]
        # counters of 32 bits, which nobody clears
        self.lane_cycles += (self._lane_cycles() - lanes_before) % (1 << 32)
        return answers

    def answers(self, pixels, progress: Callable[[int], None] | None = None) -> np.ndarray:
        """Classes (n,) of images by the board's own forward path; changes nothing.

        A program without errors and updates takes the place of the training program for as long.
        """
        state = self.tile_registers()
        counted = self._take_counters()
        self.registers.write(self._forward_program())
        labels = np.zeros(len(pixels), np.int64)
        answers = self._run(WRITE_PC, pixels, labels, progress)
        program = self.place.program()
        self.registers.write([
            (self.place.map.address("PROGRAM", i), w) for i, w in enumerate(program)
        ])
        self.registers.set("CONTROL", clear_counters=1)
        self._counted = counted
        self._restore_position()
        for tile, before in enumerate(state):
            address = tile_address(tile, Plane.REGISTERS, Register.CONVERSIONS)
            self.board.write(address, [before[Register.CONVERSIONS]])
        return answers

    def _forward_program(self) -> list[tuple[int, int]]:
        """Words of the window PROGRAM that only answer."""
        last = len(self.chip.layers) - 2
        code = [(Op.LOAD, 0)]
        for layer in range(last + 1):
            code += [(Op.FORWARD, layer), (Op.ACTIVATE, layer)]
        code += [(Op.ERROR, last), (Op.JUMP, 0)]
        return [
            (self.place.map.address("PROGRAM", i), op | layer << 4)
            for i, (op, layer) in enumerate(code)
        ]

    # --- runs

    def _start(self, pc: int, examples: int) -> None:
        self.registers.set("START_PC", pc=pc)
        self.registers.set("EXAMPLES", n=examples)
        self.registers.set("CONTROL", start=1)

    def _run(self, pc, pixels, labels, progress) -> np.ndarray:
        """Run a program on examples; return its answers."""
        packets = (
            packet(int(label), image, self._size)
            for image, label in zip(pixels, labels, strict=True)
        )
        status = Read(self.place.map.address("STATUS"))
        self._start(pc, len(pixels))
        answers, last, done = [], time.monotonic(), 0
        for results, (word,) in self.board.stream(packets, [status]):
            answers.append(results & 0x1FFF)
            if len(results):
                done, last = done + len(results), time.monotonic()
                if progress is not None:
                    progress(done)
            if self.place.map.decode("STATUS", int(word[0]))["error"] or not len(results):
                self._check_running(last)
        self._finish()
        return np.concatenate(answers).astype(np.int64) if answers else np.zeros(0, np.int64)

    def _check_running(self, last: float) -> None:
        """Raise if the controller has stopped with an error, or nothing moved for long."""
        if self.registers.get("STATUS")["error"]:
            error = self.registers.get("ERROR")
            code = ErrorCode(error["code"]).name
            self.board.flush()
            raise LinkError(
                f"the controller must go on, but stopped with {code} (tile {error['tile']}, "
                f"instruction {error['pc']}): resume from the last checkpoint"
            )
        if time.monotonic() - last > self.board.stall:
            raise LinkError(
                f"the board must make progress, but did not for {self.board.stall:.0f} s: reset "
                "it, and resume from the last checkpoint"
            )

    def _finish(self) -> None:
        last = time.monotonic()
        while not self.registers.get("STATUS")["done"]:
            self._check_running(last)
        self.registers.set("CONTROL", clear=1)

    # --- state

    def _raw_counters(self) -> dict[str, int]:
        """Return the counters of the controller since they were cleared."""
        return self.registers.counters(counter_names(self.hw))

    def _cycles(self) -> dict[str, int]:
        return {
            name.removeprefix("cycles_"): n
            for name, n in self._raw_counters().items()
            if name.startswith("cycles_") and name != "cycles_idle"
        }

    def _lane_cycles(self) -> np.ndarray:
        return np.stack([r[Register.BUSY : Register.KEY] for r in self.tile_registers()], dtype=int)

    def _take_counters(self) -> dict[str, np.ndarray]:
        """Counters since the beginning of training, as the golden machine has them."""
        raw = self._raw_counters()
        layers = range(len(self.chip.layers) - 1)
        chip = np.array([raw[name] for name in COUNTERS], np.int64)
        layer = [[raw[f"{name}_{i}"] for name in LAYER_COUNTERS] for i in layers]
        return {
            "counters": self._counted["counters"] + chip,
            "layer_counters": self._counted["layer_counters"] + np.array(layer, np.int64),
        }

    def tile_registers(self) -> list[np.ndarray]:
        """Read the registers of every tile, by :class:`fpga.tile.layout.Register`."""
        return [
            self.board.read(tile_address(t, Plane.REGISTERS), int(Register.KEY))
            for t in range(len(self.layouts))
        ]

    def state(self) -> dict[str, np.ndarray]:
        """Everything that changes, as :meth:`golden.engine.MachineEngine.state` gives it."""
        out = self._take_counters()
        out["sign"] = np.array([1 - 2 * self.registers.get("STATUS")["polarity"]])
        for name, places in (
            ("row_lanes", self.place.row_lanes),
            ("column_lanes", self.place.col_lanes),
        ):
            parts = []
            for entries in places:
                first, last = int(entries[0]), int(entries[-1])
                words = self.board.read(self.place.map.address("LANES", first), last - first + 1)
                parts.append(words[entries - first])
            out[name] = np.concatenate(parts).astype(np.uint32)
        for t, layout in enumerate(self.layouts):
            cells = layout.depth * layout.lanes
            v, g, reference, registers = (
                self.board.read(tile_address(t, plane), n)
                for plane, n in (
                    (Plane.V, cells),
                    (Plane.G, cells),
                    (Plane.REFERENCE, layout.rows),
                    (Plane.REGISTERS, int(Register.KEY)),
                )
            )
            tile = layout.state(v, g, reference, registers)
            out |= {f"tile{t}.{name}": a for name, a in tile.items()}
        return out

    def _fresh(self) -> dict[str, np.ndarray]:
        """State of a chip that has just been made."""
        m = Machine(self.chip, FixedTile)
        out = {"counters": m.counters, "layer_counters": m.layer_counters}
        out["sign"] = np.array([m.sign])
        out["row_lanes"] = np.concatenate(m.row_lanes)
        out["column_lanes"] = np.concatenate(m.column_lanes)
        for t, tile in enumerate(self._tiles(m)):
            out |= {f"tile{t}.{name}": a for name, a in tile.state().items()}
        return out

    @staticmethod
    def _tiles(machine: Machine) -> list[FixedTile]:
        return [t for i in range(len(machine.tiles)) for *_, t in machine.blocks(i)]

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take back what :meth:`state`, or that of a golden engine, gave."""
        m = self.machine
        ends = {
            "row_lanes": (m.row_lanes, self.place.row_lanes),
            "column_lanes": (m.column_lanes, self.place.col_lanes),
        }
        for name, (lanes, _) in ends.items():
            cuts = np.cumsum([lane.size for lane in lanes])[:-1]
            for lane, part in zip(lanes, np.split(state[name], cuts), strict=True):
                lane[...] = part
        self.registers.write(self.place.lanes(m))
        for t, (layout, tile) in enumerate(zip(self.layouts, self._tiles(m), strict=True)):
            prefix = f"tile{t}."
            tile.restore({n[len(prefix) :]: a for n, a in state.items() if n.startswith(prefix)})
            for plane, (indices, words) in layout.image(tile).items():
                addresses = [tile_address(t, plane, int(i)) for i in indices]
                self.registers.write(list(zip(addresses, (int(w) for w in words), strict=True)))
        self.registers.set("CONTROL", clear_counters=1)
        self._counted = {
            name: np.array(state[name], np.int64) for name in ("counters", "layer_counters")
        }
        self._negative = bool(state["sign"][0] < 0)
        self._restore_position()

    def _restore_position(self) -> None:
        """Tell the controller where in its intervals the training is."""
        counters = dict(zip(COUNTERS, self._counted["counters"], strict=True))
        examples, interval = int(counters["examples"]), self.chip.transfer.interval
        self.registers.set("RESTORE_AGE", n=examples % self.chip.tile.age_periods)
        self.registers.set("RESTORE_INTERVAL", n=examples % interval if interval else 0)
        self.registers.set(
            "RESTORE_STATE", negative=self._negative, transfers=int(counters["transfers"]) % 16
        )
        self.registers.set("CONTROL", load=1)
