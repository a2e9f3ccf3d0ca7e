"""What was used last, held up to a number of bytes."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """Values by key, the one used longest ago forgotten first. Threads may share it."""

    def __init__(self, limit: int, size: Callable[[T], int], largest: int | None = None) -> None:
        """limit: bytes held; size: the bytes of a value; largest: values of more bytes are made every time."""
        self._limit, self._size_of, self._size = limit, size, 0
        self._largest = limit if largest is None else largest
        self._lock = threading.Lock()
        self._held: OrderedDict[Hashable, T] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of a key, made where it is not held."""
        with self._lock:
            if (found := self._held.get(key)) is not None:
                self._held.move_to_end(key)
                return found
        made = make()
        if self._size_of(made) > self._largest:
            return made
        with self._lock:
            replaced = self._held.pop(key, None)
            self._size += self._size_of(made) - (0 if replaced is None else self._size_of(replaced))
            self._held[key] = made
            while self._size > self._limit:
                self._size -= self._size_of(self._held.popitem(last=False)[1])
        return made

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._held.clear()
            self._size = 0
