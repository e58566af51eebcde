"""Plain RTP on threads: one that speaks G.711 by the clock, one that keeps L16 with its times of arrival."""

from __future__ import annotations

import socket
import struct
import threading
import time

import numpy as np
from numpy.typing import NDArray

from realtime.voip import g711
from tests.sip_peers import voice

_HEADER = struct.Struct("!BBHII")
_PACKET_S = 0.02


class Talker(threading.Thread):
    """Says the voice clip again and again to :attr:`to`. *began_s* is when the first sample was spoken."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.to = ("127.0.0.1", 9)
        self.began_s = 0.0
        self.sent = 0
        self.ended = threading.Event()

    def run(self) -> None:
        samples = (np.clip(voice(8_000), -1, 1) * 32767).astype(np.int16)
        payload = g711.ENCODE["mu"][samples.view(np.uint16)].tobytes()
        self.began_s = time.monotonic()
        while not self.ended.is_set():
            # A packet leaves when its last sample was spoken.
            self.ended.wait(max(self.began_s + (self.sent + 1) * _PACKET_S - time.monotonic(), 0.0))
            start = self.sent * 160 % (len(payload) - 160)
            header = _HEADER.pack(0x80, 0, self.sent & 0xFFFF, self.sent * 160 & 0xFFFFFFFF, 77)
            self.socket.sendto(header + payload[start : start + 160], self.to)
            self.sent += 1


class Listener(threading.Thread):
    """Keeps L16 at 48 kHz: sequence, timestamp, arrival, samples of every packet."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.1)
        self.port = self.socket.getsockname()[1]
        self.packets: list[tuple[int, int, float, NDArray[np.float32]]] = []
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.is_set():
            try:
                data = self.socket.recv(4096)
            except TimeoutError:
                continue
            _, _, sequence, timestamp, _ = _HEADER.unpack_from(data)
            samples = np.frombuffer(data[12:], ">i2").astype(np.float32) / 32768
            self.packets.append((sequence, timestamp, time.monotonic(), samples))

    @property
    def missing(self) -> int:
        """Packets left out between the first and the last."""
        numbers = [sequence for sequence, *_ in self.packets]
        return ((numbers[-1] - numbers[0]) & 0xFFFF) + 1 - len(set(numbers))

    def timeline(self) -> tuple[float, NDArray[np.float32]]:
        """When the first sample could be played at the earliest, and all of them."""
        first = self.packets[0][1]
        began_s = min(arrival - (timestamp - first) / 48_000 for _, timestamp, arrival, _ in self.packets)
        samples = np.zeros((self.packets[-1][1] - first) + len(self.packets[-1][3]), np.float32)
        for _, timestamp, _, piece in self.packets:
            samples[timestamp - first : timestamp - first + len(piece)] = piece
        return began_s, samples
