"""What a whole `evalkit run` spends outside the model's forward passes, and when the first begins.

`python -m benchmarks.engine.overhead MODEL MIRROR [DOCUMENTS]` runs HellaSwag's first 500 documents
(2,000 requests) and prints a line of JSON. Start it twice: a first start reads files from the disk.
"""

import json
import sys
import time

STARTED = time.perf_counter(), time.process_time()

DOCUMENTS = int(sys.argv.pop(3)) if len(sys.argv) > 3 else 500


def main() -> None:
    """Run the command with a clock on its parts."""
    from evalkit.cli import main as command
    from evalkit.cli.quiet import quick_imports

    with quick_imports():
        import evalkit.registry.yaml_task
        import evalkit.runner  # noqa: F401
        from evalkit.engine import computed, local
        from evalkit.engine.output_layer import layer_of

    imports = time.process_time() - STARTED[1]
    clock, loading = Clock(), 0.0
    load, make = computed.load_model, local.LocalEngine.__init__

    def load_clocked(*arguments, **settings):  # type: ignore[no-untyped-def]
        loaded = load(*arguments, **settings)
        clock.watch(loaded.model)
        return loaded

    def make_clocked(self, *arguments, **settings):  # type: ignore[no-untyped-def]
        nonlocal loading
        start = time.process_time()
        make(self, *arguments, **settings)
        layer = layer_of(self.loaded.model)
        for part in layer.parts if layer else ():
            clock.watch(part)  # read after the pass, which ends with the states
        loading += time.process_time() - start
        clock.cpu_s = 0.0  # the self-check's passes are a part of loading

    computed.load_model = load_clocked
    local.LocalEngine.__init__ = make_clocked  # type: ignore[method-assign]
    model, mirror = sys.argv[1:]
    sys.argv = ["evalkit", "run", "--model", model, "--tasks", "hellaswag", "--mirror", mirror]
    sys.argv += ["--limit", str(DOCUMENTS), "--store", "memory://overhead", "--device", "cpu"]
    try:
        command()
    except SystemExit as end:
        if end.code:
            raise
    total = time.process_time() - STARTED[1]
    parts = {"imports": imports, "loading": loading, "forward passes": clock.cpu_s}
    parts["planning, tokenizing, scoring, writing"] = total - sum(parts.values())
    found = {
        "requests": 4 * DOCUMENTS,
        "cpu_s": total,
        "first_forward_s": clock.first_s,
        "first_forward_cpu_s": clock.first_cpu_s,
        "shares": {name: part / total for name, part in parts.items()},
    }
    print(json.dumps(found))


class Clock:
    """CPU seconds in modules' forward passes, and wall seconds from the start to the first."""

    def __init__(self) -> None:
        self.cpu_s = 0.0
        self.first_s: float | None = None
        self.first_cpu_s: float | None = None
        self._entered, self._depth = 0.0, 0

    def watch(self, module) -> None:  # type: ignore[no-untyped-def]
        """Note every pass of a torch module, which may lie in another's."""
        module.register_forward_pre_hook(self._enter)
        module.register_forward_hook(self._leave, always_call=True)

    def _enter(self, *_: object) -> None:
        self._depth += 1
        if self._depth > 1:
            return
        self._entered = time.process_time()
        if self.first_s is None:
            self.first_s = time.perf_counter() - STARTED[0]
            self.first_cpu_s = time.process_time() - STARTED[1]

    def _leave(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            self.cpu_s += time.process_time() - self._entered


if __name__ == "__main__":
    main()
