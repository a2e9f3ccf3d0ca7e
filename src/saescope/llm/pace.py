"""How many calls at once: one more after each round that went well, fewer when the server has too much.

Additive increase, multiplicative decrease (Chiu & Jain 1989); a server that says Retry-After is left alone so long.
"""

import asyncio
import random
import time

CUT = 0.7
"""What is left of the limit: gentler than a half, since servers also refuse at random (as in CUBIC, RFC 9438)."""


class Pace:
    """Lets calls through; for one event loop."""

    def __init__(self, most: int, first: float = 4.0, backoff: float = 0.5, longest: float = 30.0) -> None:
        self.most, self.backoff, self.longest = most, backoff, longest
        self.limit = min(first, float(most))
        self.under_way = 0
        self.peak = 0
        """The most calls that were ever under way at once."""
        self._not_before = 0.0
        self._last_cut = 0.0
        self._changed = asyncio.Condition()

    async def enter(self) -> float:
        """Wait for a place, and give the time of entry."""
        async with self._changed:
            while True:
                left = self._not_before - time.monotonic()
                if left <= 0 and self.under_way < max(1, int(self.limit)):
                    break
                if left > 0:
                    self._changed.release()
                    try:
                        await asyncio.sleep(left)
                    finally:
                        await self._changed.acquire()
                else:
                    await self._changed.wait()
            self.under_way += 1
            self.peak = max(self.peak, self.under_way)
            return time.monotonic()

    async def leave(self, entered: float, *, well: bool = False, too_much: bool = False) -> None:
        """Give the place back, and say how it went. Of calls that began before the last cut, none cuts again."""
        async with self._changed:
            self.under_way -= 1
            if well:
                self.limit = min(float(self.most), self.limit + 1.0 / max(1.0, self.limit))
            elif too_much and entered > self._last_cut:
                self.limit = max(1.0, self.limit * CUT)
                self._last_cut = time.monotonic()
            self._changed.notify_all()

    def hold(self, seconds: float) -> None:
        """Let nothing through for so long."""
        self._not_before = max(self._not_before, time.monotonic() + seconds)

    def pause(self, failures: int, wait: float | None = None) -> float:
        """Seconds to wait before a call is tried again: a little more than the server says, or doubled each time."""
        if wait is not None:
            return wait * random.uniform(1.0, 1.2)
        return random.uniform(0.5, 1.0) * min(self.longest, self.backoff * 2 ** min(failures, 16))
