# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The queue of the link, and what its parts refuse."""

import numpy as np
import pytest

from cosim.bench import simulate
from fpga.link.buffer import FrameBuffer
from fpga.link.feeder import Feeder
from fpga.link.fifo import LinkFifo
from fpga.link.link import Link, UartLink


def test_fifo_keeps_words_in_order_and_counts_them():
    rng = np.random.default_rng(1)
    words, kept, got = iter(range(250)), [], []

    def drive(pins):
        for cycle in range(400):
            writes = rng.random() < (0.8 if cycle < 200 else 0.2)
            reads = rng.random() < (0.2 if cycle < 200 else 0.8)
            word = next(words, None) if writes else None
            pins["en"], pins["data"] = int(word is not None), word or 0
            pins["o.ready"] = int(reads)
            yield
            assert pins["level"] == len(kept)
            assert pins["full"] == (len(kept) == 8)
            if reads and pins["o.valid"]:
                got.append(kept.pop(0))
                assert pins["o.payload"] == got[-1]
            if word is not None and not pins["full"]:
                kept.append(word)

    simulate(LinkFifo(8, 8), drive)
    assert got == sorted(got)
    assert len(got) > 60


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LinkFifo(8, 6), r"^depth must be a power of two above 1, not 6$"),
        (lambda: FrameBuffer(1), r"^words must be a power of two above 1, not 1$"),
        (lambda: Feeder(9, 64), r"^host_bytes must be within 2\.\.8, not 9$"),
        (lambda: Feeder(8, 1 << 16), r"^capacity must be at most 32768, not 65536$"),
        (lambda: Link(8, 0), r"^gap must be positive \(cycles\), not 0$"),
        (lambda: Link(8, 9, response_words=4), r"^response_words must be at least 5, not 4$"),
        (
            lambda: Link(8, 9, results_kept=1 << 16),
            r"^results_kept must be at most 32768, not 65536$",
        ),
        (
            lambda: UartLink(10**8, 10**6, 8, gap=1e-5),
            r"^gap must be at least 2e-05 \(s\), two bytes, not 1e-05$",
        ),
    ],
)
def test_link_rejects_parameters(make, message):
    with pytest.raises(ValueError, match=message):
        make()
