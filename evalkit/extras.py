"""Which of evalkit's extras brings a package that not every installation has."""

_EXTRAS = {"matplotlib": "plots"} | dict.fromkeys(
    ("datasketch", "ftfy", "lingua", "optuna", "peft", "phonenumbers", "torchao", "trafilatura",
     "trl", "xxhash"),
    "train",
) | dict.fromkeys(("onnx", "onnxruntime", "onnxscript"), "variants")  # fmt: skip


def how_to_install(error: ModuleNotFoundError) -> str | None:
    """What is missing and the command that brings it; None where no extra of evalkit does."""
    package = (error.name or "").partition(".")[0]
    extra = _EXTRAS.get(package)
    return extra and f"the package {package}: pip install 'evalkit[{extra}]'"
