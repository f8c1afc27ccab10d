"""Tables as files: data stays data in a spreadsheet and in Markdown."""

import pandas as pd
from parts.text import visible

_TEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    "–": "--",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "●": r"$\bullet$",
    "○": r"$\circ$",
    "†": r"$\dagger$",
    "·": r"$\cdot$",
}


def as_csv(frame: pd.DataFrame) -> str:
    """CSV whose text cells no spreadsheet takes for a formula."""
    safe = frame.copy()
    for column in safe.columns:
        safe[column] = [_inert(cell) if isinstance(cell, str) else cell for cell in safe[column]]
    return safe.rename(columns=_inert).to_csv(index=False)


def as_markdown(frame: pd.DataFrame) -> str:
    """A Markdown table whose cells cannot end their cell or be taken for markup."""
    header = [_literal(name) for name in frame.columns]
    lines = [_line(header), _line(["---"] * len(header))]
    lines += [_line([_literal(cell) for cell in row]) for row in frame.itertuples(index=False)]
    return "\n".join(lines) + "\n"


def as_latex(frame: pd.DataFrame) -> str:
    """A LaTeX table (booktabs) whose cells are shown as they are, never obeyed."""
    header = [_tex(name) for name in frame.columns]
    rows = [[_tex(cell) for cell in row] for row in frame.itertuples(index=False)]
    lines = [
        "% needs \\usepackage{booktabs} and, before LaTeX of 2020, \\usepackage[utf8]{inputenc}",
        f"\\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
        "\\toprule",
        " & ".join(header) + r" \\",
        "\\midrule",
        *(" & ".join(row) + r" \\" for row in rows),
        "\\bottomrule",
        "\\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _tex(cell: object) -> str:
    text = visible(cell).replace("\n", " ").strip()
    return "".join(_TEX.get(sign, sign) for sign in text)


def _inert(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _literal(cell: object) -> str:
    text = visible(cell).replace("\n", " ")
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]<>#|!$" else sign for sign in text)


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
