"""Probes of other installed packages, found by their entry points and imported when asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, wraps
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from evalkit.errors import DataError, EvalkitError
from evalkit.probes import Probe, ProbeOptions

GROUP = "evalkit.probes"


@dataclass(frozen=True)
class Plugin:
    """A probe that another package brings.

    Attributes:
        name: Of the probe: that of its entry point.
        origin: Package and version it comes from.
    """

    name: str
    origin: str
    entry_point: EntryPoint

    @cached_property
    def probe(self) -> type[Probe]:
        """The probe's class, imported.

        Raises:
            DataError: Its package is broken, or it is no probe of that name.
        """
        try:
            found = self.entry_point.load()
        except Exception as error:  # it is somebody else's code
            reason = str(error).strip().splitlines()
            about = f": {reason[0]}" if reason else ""
            raise DataError(
                f"The probe {self.name} of the package {self.origin} cannot be imported "
                f"({type(error).__name__}{about}); mend or uninstall that package."
            ) from error
        if not (isinstance(found, type) and issubclass(found, Probe)):
            raise DataError(
                f"{self.entry_point.value} of the package {self.origin}, the probe {self.name}, is "
                "no class derived from evalkit.probes.Probe."
            )
        missing = [field for field in ("name", "family", "metrics") if not hasattr(found, field)]
        if missing or found.__abstractmethods__:
            lacking = ", ".join([*missing, *sorted(found.__abstractmethods__)])
            raise DataError(f"The probe {self.name} of the package {self.origin} lacks {lacking}.")
        if found.name != self.name:
            raise DataError(
                f"The package {self.origin} announces the probe {self.name}, but its class is "
                f"named {found.name}."
            )
        return found

    def make(self, options: ProbeOptions) -> Probe:
        """The probe under a run's options; what goes wrong in it names its package.

        Raises:
            DataError: Its package is broken.
        """
        made: Probe = self._guarded(self.probe.make)(options)
        made.documents = self._guarded(made.documents)  # type: ignore[method-assign]
        made.score = self._guarded(made.score)  # type: ignore[method-assign]
        return made

    def _guarded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except EvalkitError:
                raise
            except Exception as error:
                reason = " ".join([type(error).__name__, *str(error).strip().splitlines()[:1]])
                raise DataError(
                    f"The probe {self.name} of the package {self.origin} failed: {reason}"
                ) from error

        return call


def installed_plugins() -> dict[str, Plugin]:
    """Probes that installed packages announce, by name; of two of one name, the first package's."""
    found: dict[str, Plugin] = {}
    for point in sorted(entry_points(group=GROUP), key=_origin):
        found.setdefault(point.name, Plugin(point.name, _origin(point), point))
    return found


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value
