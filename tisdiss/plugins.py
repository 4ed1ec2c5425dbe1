"""Tables whose entries also come from installed packages, by entry points of these groups:

    tisdiss.models    a `tisdiss.contract.WholeModel`
    tisdiss.corpora   a `tisdiss.speech_sources.SpeechSource`
    tisdiss.metrics   a `tisdiss.records.names.Measure`

The name of an entry point is the name of the entry. Packages are read when a table is first used.
The modules that entry points name are imported then, so they import nothing slow, and no torch.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

T = TypeVar("T")
ADVICE = "mend the package or uninstall it"


class PluginError(ValueError):
    """A fault of an installed package, with its name."""


@contextmanager
def guarded(who: str, package: str | None) -> Iterator[None]:
    """Tell an error of a package's code with its name; `who` is from `Table.of`.

    Memory that is out, Ctrl-C, and errors of our own entries (`package` is None) stay as they are.
    """
    try:
        yield
    except Exception as error:
        if package is None or isinstance(error, PluginError) or _is_memory(error):
            raise
        raise PluginError(f"{who} raised {type(error).__name__}: {error}") from error


def _is_memory(error: Exception) -> bool:
    """Whether memory is out, also that of a GPU, whose error torch defines."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


class Table(MutableMapping[str, T]):
    """Entries by name: our own first, then those of installed packages in the order of names.

    A package's entry has a name that `pattern` allows and `taken` does not have.
    """

    def __init__(
        self,
        group: str,
        kind: type[T],
        own: Mapping[str, T],
        *,
        pattern: str = r"[a-z][a-z0-9-]{0,39}",
        taken: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self.group, self.kind, self.own = group, kind, own
        self.pattern, self.taken = pattern, taken
        self._entries: dict[str, T] = dict(own)
        self._packages: dict[str, str] = {}
        self._read = False

    def __getitem__(self, name: str) -> T:
        # Our own entries are found without the packages, which import what is being imported here.
        return self._entries[name] if name in self._entries else self._all()[name]

    def __setitem__(self, name: str, entry: T) -> None:
        self._all()[name] = entry

    def __delitem__(self, name: str) -> None:
        del self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def package(self, name: str) -> str | None:
        """Name and version of the package that an entry comes from; None for our own."""
        self._all()
        return self._packages.get(name)

    def of(self, name: str) -> str:
        """An entry for error messages, with its package if it has one."""
        package = self.package(name)
        kind = self.group.removeprefix("tisdiss.").removesuffix("s").replace("corpora", "corpus")
        return f"{kind} '{name}' of package {package}" if package else f"{kind} '{name}'"

    def read_again(self) -> None:
        """Read the packages anew when the table is next used, after one was installed."""
        self._entries, self._packages, self._read = dict(self.own), {}, False

    def _all(self) -> dict[str, T]:
        if not self._read:
            self._read = True  # first, because a package may read the table while it is imported
            try:
                self._add_plugins()
            except PluginError:
                self._read = False
                raise
        return self._entries

    def _add_plugins(self) -> None:
        """Add the entries of packages; PluginError for a name that is taken, or no such entry."""
        found: dict[str, EntryPoint] = {}
        for point in sorted(entry_points(group=self.group), key=lambda point: point.name):
            if (other := found.get(point.name)) and _package(other) == _package(point):
                continue  # one package, found on two folders of the path
            if other:
                raise PluginError(
                    f"{self.group}: '{point.name}' is in two packages, {_package(other)} and "
                    f"{_package(point)}; uninstall one of them"
                )
            self._check_name(point)
            found[point.name] = point
        entries = {name: self._loaded(point) for name, point in found.items()}
        self._packages = {name: _package(point) for name, point in found.items()}
        self._entries |= entries

    def _check_name(self, point: EntryPoint) -> None:
        at = f"{self.group}: package {_package(point)} has an entry '{point.name}'"
        if point.name in {*self.own, *self.taken()}:
            raise PluginError(
                f"{at}, which is the name of a built-in one; rename it or uninstall the package"
            )
        if not re.fullmatch(self.pattern, point.name):
            raise PluginError(f"{at}, where a name is like {self.pattern}; rename it")

    def _loaded(self, point: EntryPoint) -> T:
        at = f"{self.group}: '{point.name}' ({point.value}) of package {_package(point)}"
        try:
            entry = point.load()
        except Exception as error:
            fault = f"{type(error).__name__}: {error}"
            raise PluginError(f"{at} cannot be imported ({fault}); {ADVICE}") from error
        if not isinstance(entry, self.kind):
            raise PluginError(
                f"{at} is a {type(entry).__name__}, where a {self.kind.__name__} is needed; "
                f"{ADVICE}"
            )
        return entry


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown package"
