"""Progress on stderr; drawn only where it takes long enough to be wanted."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm


@contextmanager
def progress(total: int, label: str, unit: str, done: int = 0) -> Iterator[Callable[[int], object]]:
    """Show a bar once a second has passed; yields the function that advances it.

    Of runs that go on side by side, each in a thread, none shows one.
    """
    with tqdm(
        total=total,
        desc=label,
        unit=unit,
        initial=done,
        file=sys.stderr,
        delay=1.0,
        leave=False,
        disable=threading.current_thread() is not threading.main_thread(),
    ) as bar:
        yield bar.update
