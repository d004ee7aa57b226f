# SPDX-License-Identifier: Apache-2.0
"""The tile in integers: the same effects, tabulated; every rounding rule written down.

``>>`` is the arithmetic shift (floor), so ``(x + half) >> n`` rounds half up. A weight is

    ``w = F * (G+ - G-) + s * (((v - v_ref + 2) >> 2) + offset)``      (16 bit, 1.0 = 2**14)

with the capacitor code ``v`` relative to v_init, the row's reference ``v_ref`` and the fixed
offset of the two read FETs. All operations are plain numpy, one formula a line: this is the text
that the numba kernels and the emulated tile are compared with, bit for bit.
"""

import numpy as np

from .calibration import STEP_FRAC, calibrate
from .config import check
from .prng import derive, scaled_bell, words
from .tile import RESET, V_FRAC, W_FRAC, TileConfig

__all__ = ["FixedTile", "Stream"]


class Stream:
    """Numbers of the random streams of a tile; a word's key is ``derive(seed, tile, stream)``."""

    UP, DOWN, THRESHOLD, LEAK = 0, 1, 2, 3
    DRIFT_PLUS, DRIFT_MINUS, RESPONSE_PLUS, RESPONSE_MINUS = 4, 5, 6, 7
    OFFSET_FORWARD, OFFSET_BACKWARD, OFFSET_READ = 8, 9, 10
    CONVERT, WRITE, PULSE = 11, 12, 13


class FixedTile:
    """A crossbar in integers, behind the same port as :class:`PhysicalTile`.

    Parameters
    ----------
    rows, cols : int
        Rows and columns in use.
    config : TileConfig
        Turned into integers by :func:`analog_models.calibration.calibrate`.
    forward_shift, backward_shift : int
        log2 of the ADC's LSB in units of the sum (21 fractional bits).
    seed, tile : int
        Key of all randomness, and the number of the tile on the chip.

    Attributes
    ----------
    v : ndarray of int32, shape (rows, cols)
        Capacitor codes, ``v_min .. v_max``.
    v_ref : ndarray of int32, shape (rows,)
        Reference cells.
    g_plus, g_minus : ndarray of int32, shape (rows, cols)
        Conductance codes, ``0 .. g_max``.
    sign : int
        Polarity.
    conversions, writes, pulses, age_ticks : int
        Operations so far (forward, backward, read; program, init; update, tune), and ticks
        since the last PROGRAM. With ``seed`` they fix every random bit to come.
    """

    def __init__(
        self, rows, cols, config: TileConfig, *, forward_shift, backward_shift, seed, tile=0
    ):
        check(1 <= rows <= config.rows, "rows", f"within 1..{config.rows}", rows)
        check(1 <= cols <= config.cols, "cols", f"within 1..{config.cols}", cols)
        for name, shift in (("forward_shift", forward_shift), ("backward_shift", backward_shift)):
            check(8 <= shift <= 21, name, "within 8..21", shift)
        self.rows, self.cols, self.config = rows, cols, config
        self.forward_shift, self.backward_shift = forward_shift, backward_shift
        self.tables = t = calibrate(config)
        self.keys = [derive(seed, tile, stream) for stream in range(14)]

        self.v = np.zeros((rows, cols), np.int32)
        self.v_ref = np.zeros(rows, np.int32)
        self.g_plus = np.full((rows, cols), t.g_reset, np.int32)
        self.g_minus = np.full((rows, cols), t.g_reset, np.int32)
        self.sign = 1
        self.conversions = self.writes = self.pulses = self.age_ticks = 0

        self.up = t.up + self._device(Stream.UP, t.up_amp)[:, :cols]
        self.down = t.down + self._device(Stream.DOWN, t.down_amp)[:, :cols]
        threshold = self._device(Stream.THRESHOLD, t.threshold_amp)
        self.offset = threshold[:, :cols] - threshold[:, cols:]
        leak = np.maximum(t.leak + self._device(Stream.LEAK, t.leak_amp), 0)
        self.leak, self.leak_ref = leak[:, :cols], leak[:, cols]
        self.drift_plus, self.drift_minus = (
            np.maximum(t.drift_mean + self._device(stream, t.drift_amp)[:, :cols], 0)
            for stream in (Stream.DRIFT_PLUS, Stream.DRIFT_MINUS)
        )
        self.response_plus, self.response_minus = (
            self._device(stream, t.response_amp)[:, :cols]
            for stream in (Stream.RESPONSE_PLUS, Stream.RESPONSE_MINUS)
        )
        #: (noise power, offsets) of each kind of conversion
        self.forward_adc = self._adc(forward_shift, Stream.OFFSET_FORWARD, cols)
        self.backward_adc = self._adc(backward_shift, Stream.OFFSET_BACKWARD, rows)
        self.read_adc = self._adc(t.read_shift, Stream.OFFSET_READ, cols)

    def _device(self, stream, amp):
        """Draw the fixed values of all devices, int32 (rows, cols + 1); last column: reference."""
        key, lanes = self.keys[stream], self.cols + 1
        rows = [scaled_bell(words(key, row, lanes), amp) for row in range(self.rows)]
        return np.array(rows, dtype=np.int32)

    def _adc(self, shift, stream, lanes):
        power, amp = self.tables.adc(shift)
        return power, scaled_bell(words(self.keys[stream], 0, lanes), amp).astype(np.int32)

    def weight_code(self) -> np.ndarray:
        """Weights that a multiplication sees, int32 (rows, cols), 1.0 = 2**14."""
        slow = self.tables.gain * (self.g_plus - self.g_minus)
        if not self.tables.capacitor_updates:
            return slow
        fast = ((self.v - self.v_ref[:, None] + 2) >> (V_FRAC - W_FRAC)) + self.offset
        return slow + self.sign * fast

    def _convert(self, total, square, adc, shift, bits, log2_reads=0):
        """Round ``total`` to codes with the noise of an input whose sum of squares is given."""
        power, offset = adc
        power = (power + self.tables.read_power * int(square)) >> log2_reads
        amp = int(np.sqrt(float(power)))  # exact floor: power < 2**52
        word = words(self.keys[Stream.CONVERT], self.conversions, total.size)
        self.conversions += 1
        total = total + offset + scaled_bell(word, amp)
        half = 1 << (bits - 1)
        return np.clip((total + (1 << (shift - 1))) >> shift, -half, half - 1)

    def forward(self, x):
        """Multiply row codes with the weights; see :class:`analog_models.tile.Tile`."""
        x = np.asarray(x, dtype=np.int64)
        total = x @ self.weight_code()
        shift, bits = self.forward_shift, self.tables.adc_bits
        return self._convert(total, x @ x, self.forward_adc, shift, bits)

    def backward(self, d):
        """Multiply column codes with the transposed weights."""
        d = np.asarray(d, dtype=np.int64)
        total = self.weight_code() @ d
        shift, bits = self.backward_shift, self.tables.adc_bits
        return self._convert(total, d @ d, self.backward_adc, shift, bits)

    def read(self, row, log2_reads):
        """Read one row with all of its cells driven by code 128."""
        t = self.tables
        total = self.weight_code()[row].astype(np.int64) << 7
        return self._convert(total, 1 << 14, self.read_adc, t.read_shift, t.read_bits, log2_reads)

    def update(self, px, pd):
        """Step every cell by ``px_i * pd_j`` pulses, all with the step at the starting voltage."""
        rows, cols = np.flatnonzero(px), np.flatnonzero(pd)
        if rows.size and cols.size:
            self._step(np.ix_(rows, cols), np.outer(px[rows], pd[cols]))
        self.pulses += 1

    def tune(self, row, pulses):
        """Step the cells of one row."""
        self._step(np.index_exp[row], np.asarray(pulses))
        self.pulses += 1

    def _step(self, index, pulses):
        if not self.tables.capacitor_updates:
            self._partial_set(index, pulses)
            return
        t, v = self.tables, self.v[index].astype(np.int64)
        up = pulses * self.sign > 0
        factor = 16384 + np.where(up, -((v * t.slope_up) >> 15), (v * t.slope_down) >> 15)
        step = np.where(up, self.up[index], self.down[index])
        size = (np.abs(pulses) * step * factor + (1 << 13 + STEP_FRAC)) >> (14 + STEP_FRAC)
        self.v[index] = np.clip(v + np.where(up, size, -size), t.v_min, t.v_max)

    def _partial_set(self, index, pulses):
        """2-PCM baseline: raise G+ or G- by partial SETs, each closing part of the gap to g_max."""
        t = self.tables
        lane = np.arange(self.rows * self.cols).reshape(self.rows, self.cols)[index]
        word = words(self.keys[Stream.PULSE], self.pulses, self.rows * self.cols)[lane]
        n = np.abs(pulses).astype(np.int64)
        root = np.sqrt((n * 256).astype(float)).astype(np.int64)  # sqrt(n), 4 fractional bits
        noise = scaled_bell(word, (t.pulse_amp * root) >> 4)
        for g, chosen in ((self.g_plus, pulses > 0), (self.g_minus, pulses < 0)):
            old = g[index].astype(np.int64)
            rise = (np.minimum(n * t.pulse_loss, 65536) * (t.g_max - old) + 32768) >> 16
            g[index] = np.where(chosen, np.clip(old + rise + noise, 0, t.g_max), old)

    def program(self, row, plus, minus):
        """Program the PCM pairs of one row."""
        t = self.tables
        word = words(self.keys[Stream.WRITE], self.writes, 2 * self.cols)
        self.writes += 1
        self.age_ticks = 0
        for g, response, code, lane in (
            (self.g_plus, self.response_plus, np.asarray(plus), word[0::2]),
            (self.g_minus, self.response_minus, np.asarray(minus), word[1::2]),
        ):
            reset = np.clip(t.g_reset + scaled_bell(lane, t.reset_amp), 0, t.g_max)
            duration = np.where(code == RESET, 0, code)
            mean = t.set_mean[duration]
            grown = mean + ((mean * response[row] + 2048) >> 12)
            grown = np.clip(grown + scaled_bell(lane, t.set_amp[duration]), 0, t.g_max)
            after_set = np.where(duration > 0, np.maximum(grown, g[row]), g[row])
            g[row] = np.where(code == RESET, reset, after_set)

    def init(self, row):
        """Write v_init into the capacitors of one row and its reference cell."""
        word = words(self.keys[Stream.WRITE], self.writes, self.cols + 1)
        self.writes += 1
        v = scaled_bell(word, self.tables.init_amp)
        v = np.clip(v, self.tables.v_min, self.tables.v_max)
        self.v[row], self.v_ref[row] = v[:-1], v[-1]

    def polarity(self, sign):
        """Set the readout sign and the sense of the pulses."""
        check(sign in (-1, 1), "sign", "+1 or -1", sign)
        self.sign = sign

    def age(self, ticks):
        """Let ``ticks`` ageing ticks pass: leak each, drift where the table says so."""
        t = self.tables
        for _ in range(ticks):
            self.v += ((t.v_leak - self.v) * self.leak + 32768) >> 16
            self.v_ref += ((t.v_leak - self.v_ref) * self.leak_ref + 32768) >> 16
            self.age_ticks += 1
            for _ in range(int(np.count_nonzero(t.drift_ticks == self.age_ticks))):
                self.g_plus -= (self.g_plus * self.drift_plus + 32768) >> 16
                self.g_minus -= (self.g_minus * self.drift_minus + 32768) >> 16

    def weight(self):
        """Weights (float64, 1.0 = 1.0) without read noise."""
        return self.weight_code() / 2.0**W_FRAC

    def state(self):
        """Return everything that changes."""
        counts = [self.sign, self.conversions, self.writes, self.pulses, self.age_ticks]
        return {
            "v": self.v.astype(np.int16),
            "v_ref": self.v_ref.astype(np.int16),
            "g_plus": self.g_plus.astype(np.int16),
            "g_minus": self.g_minus.astype(np.int16),
            "count": np.array(counts, dtype=np.int64),
        }

    def restore(self, state):
        """Take back what :meth:`state` gave."""
        for name in ("v", "v_ref", "g_plus", "g_minus"):
            getattr(self, name)[...] = state[name]
        counts = (int(n) for n in state["count"])
        self.sign, self.conversions, self.writes, self.pulses, self.age_ticks = counts
