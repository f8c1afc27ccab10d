// Draws the table. Every text is set as text, never as markup.

const ARROWS = { ascending: "▴", descending: "▾", none: "" };

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function head(column) {
  const sort = element("button", { value: column.name, title: "Sort" }, column.title);
  sort.append(element("span", { ariaHidden: "true" }, ARROWS[column.sorted]));
  return element("th", { scope: "col", ariaSort: column.sorted }, sort);
}

function line(row, ticked) {
  const [[name], ...figures] = row.cells;
  const tick = element("input", {
    type: "checkbox", value: row.id, checked: ticked.has(row.id), ariaLabel: `Tick ${name}`,
  });
  return element(
    "tr", {},
    element("td", {}, tick),
    element("th", { scope: "row", title: name }, name),
    ...figures.map(([text, kind]) => element("td", { className: kind }, text)),
  );
}

function table({ columns, rows }, ticked) {
  const tick = element("td", { title: "Tick one run to read it, two to compare them" });
  return element(
    "table", { ariaLabel: "Leaderboard" },
    element("thead", {}, element("tr", {}, tick, ...columns.map(head))),
    element("tbody", {}, ...rows.map((row) => line(row, ticked))),
  );
}

export default function ({ data, parentElement, setStateValue, setTriggerValue }) {
  const box = parentElement.querySelector(".scroll");
  const content = JSON.stringify(data);
  if (box.content !== content) {
    const sorted = parentElement.activeElement?.closest("th button")?.value;
    box.ariaLabel = "Runs by figures";
    box.ticked ??= new Set();
    box.replaceChildren(table(data, box.ticked));
    box.content = content;
    [...box.querySelectorAll("th button")].find(({ value }) => value === sorted)?.focus();
  }
  box.onclick = ({ target }) => {
    const sort = target.closest("th button");
    if (sort) setTriggerValue("sort", sort.value);
  };
  box.onchange = ({ target }) => {
    box.ticked[target.checked ? "add" : "delete"](target.value);
    setStateValue("ticked", [...box.ticked]);
  };
}
