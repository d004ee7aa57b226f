# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The format of frames, and the code for zeros."""

import zlib
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosim.bench import put, simulate, take
from crossforge.data import load
from fpga.host import packet
from fpga.link.frames import HEAD_BYTES, OVERHEAD, Frame, FrameReader, Kind, encode_frame, operation
from fpga.link.zero_code import LONGEST, ZeroDecoder, encode_packet, encode_zeros
from fpga.link.zero_decoder import ZeroDecoder as Gateware


def test_frame_is_as_the_docstring_draws_it():
    data = encode_frame(Kind.REQUEST, 7, b"abcdefgh")
    assert data[:5] == bytes([0xA5, 2, 7, 2, 0])
    assert data[5:7] == (~zlib.crc32(data[1:5]) & 0xFFFF).to_bytes(2, "little")
    assert zlib.crc32(data[1:7]) >> 16 == 0xFFFF
    assert data[7:15] == b"abcdefgh"
    assert data[15:] == zlib.crc32(data[1:15]).to_bytes(4, "little")
    assert len(encode_frame(Kind.DAMAGED, 0)) == OVERHEAD


def test_operation_fills_up_its_last_word():
    assert operation(3, 5, 0x01020304, b"abcde") == bytes.fromhex(
        "03000500 04030201 61626364 65000000"
    )


@pytest.mark.parametrize("size", [1, 6, 1 << 18])
def test_frame_rejects_payloads(size):
    message = rf"^payload must be 0\.\.65535 words, not '{size} bytes'$"
    with pytest.raises(ValueError, match=message):
        encode_frame(1, 0, bytes(size))


PAYLOADS = [b"", b"\xa5" * 8, bytes(range(64)), encode_frame(2, 3, b"abcd") + b"x"]


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_reader_finds_frames_in_noise(step):
    rng = np.random.default_rng(1)
    frames = [Frame(k, 9 * k, p) for k, p in enumerate(PAYLOADS, 1)]
    data = b""
    for frame in frames:
        data += rng.integers(0, 256, 30, dtype=np.uint8).tobytes() + b"\xa5\xa5"
        data += encode_frame(frame.kind, frame.sequence, frame.payload)
    reader, found = FrameReader(1 << 15), []
    for at in range(0, len(data), step):
        found += reader.feed(data[at : at + step])
    assert found == frames
    assert reader.skipped == 32 * len(frames)


def test_reader_sees_every_damaged_bit():
    good = encode_frame(2, 3, bytes(range(12)))
    for bit in range(8 * len(good)):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        reader = FrameReader(99)
        assert reader.feed(bytes(bad) + bytes(40)) == []
        assert reader.damaged == (bit // 8 >= HEAD_BYTES)
        assert reader.feed(good) == [Frame(2, 3, bytes(range(12)))], "and is in step again"


def test_reader_does_not_wait_for_frames_that_are_too_long():
    reader = FrameReader(2)
    assert reader.feed(encode_frame(2, 3, bytes(12))) == []
    assert reader.feed(encode_frame(2, 3, bytes(8))) == [Frame(2, 3, bytes(8))]


def test_reader_forgets_what_has_begun():
    reader, data = FrameReader(9), encode_frame(2, 3, bytes(8))
    assert reader.feed(data[:-1]) == []
    reader.clear()
    assert reader.feed(data[-1:]) == []
    assert reader.skipped == len(data)


# --- zeros

#: Bytes and their code, as a packet.
CODED = {
    b"\1": "008001",
    b"\0": "0081",
    b"\0\0\5": "0002 008005",
    b"\5\0\0": "05 0082",
    b"\1\0\2\0": "01 0001 02 0081",
    bytes(LONGEST): "00ff",
    bytes(LONGEST + 1): "007f 0081",
    bytes(300) + b"\7": "007f 007f 002e 008007",
    bytes(2 * LONGEST): "007f 00ff",
}


@pytest.mark.parametrize("data", CODED, ids=len)
def test_zero_code_is_as_the_docstring_says(data):
    assert encode_packet(data) == bytes.fromhex(CODED[data])


@given(st.lists(st.lists(st.sampled_from([0, 0, 0, 1, 128, 255]), min_size=1), max_size=5))
def test_zero_code_brings_packets_back(packets):
    decoder, coded = ZeroDecoder(), b"".join(encode_packet(bytes(p)) for p in packets)
    want = [(byte, i == len(p) - 1) for p in packets for i, byte in enumerate(p)]
    assert decoder.feed(coded) == want
    assert decoder.idle


@given(st.binary(max_size=400))
def test_zero_code_brings_plain_bytes_back(data):
    assert ZeroDecoder().feed(encode_zeros(data)) == [(byte, False) for byte in data]


def test_zero_code_rejects_an_empty_packet():
    with pytest.raises(ValueError, match=r"^packet must be at least one byte, not b''$"):
        encode_packet(b"")


def check_decoder(coded, *, stall=0, patience=0):
    """Compare with the gateware, also where a code stops in the middle."""
    model, got = ZeroDecoder(), []
    want = [byte | last << 8 for byte, last in model.feed(coded)]

    def source(pins):
        yield from put(pins, "i", coded, stall=stall)
        while len(got) < len(want):
            yield
        yield
        yield
        assert pins["idle"] == model.idle

    simulate(Gateware(), source, partial(take, name="o", n=len(want), into=got, stall=patience))
    assert got == want


@pytest.mark.parametrize("flow", [{}, {"stall": 2}, {"patience": 3}], ids=str)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_zero_decoder_does_what_the_model_does(seed, flow):
    rng = np.random.default_rng(seed)
    coded = rng.integers(0, 256, 30) * (rng.random(30) < 0.6)
    coded[rng.random(30) < 0.2] = 128
    end = [b"\0", b"\0\0\0\x80", b"\0\0\0\x80\0"][seed - 1]
    check_decoder([*coded.tolist(), *end], **flow)


@pytest.mark.slow
def test_mnist_takes_77_bytes_an_example():
    """As the docstring of fpga.link.zero_code says."""
    data = load()
    images = data.x_train.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4), dtype=np.float32)
    pixels = np.floor(images + 0.5).astype(np.uint8).reshape(len(images), -1)
    packets = [packet(int(y), x, 8) for y, x in zip(data.y_train, pixels, strict=True)]
    assert {len(p) for p in packets} == {208}
    assert abs(sum(len(encode_packet(p)) for p in packets) / len(packets) - 77.4) < 0.05
