// Draws a table. Every text is set as text, never as markup.

const ARROWS = { ascending: " ▴", descending: " ▾", none: "" };
const SHADES = { "●": "best", "○": "tied" };
const NUMBER = /^\s*[+-]?\d[\d,]*\.?\d*(e[+-]?\d+)?/;
const LONG = 40;
const byLetters = new Intl.Collator(undefined, { numeric: true });

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function heading({ name, title, number }, place) {
  const arrow = element("span", { ariaHidden: "true" });
  const button = element("button", { value: name, title: "Sort" }, title, arrow);
  const className = place === 0 ? "name" : number ? "number" : "";
  return element("th", { scope: "col", className }, button);
}

function showOrder(box, by, direction) {
  for (const cell of box.querySelectorAll("thead th")) {
    cell.ariaSort = cell.firstChild.value === by ? direction : "none";
    cell.querySelector("span").textContent = ARROWS[cell.ariaSort];
  }
}

function row(texts, number, data, ticked) {
  const [name, ...others] = texts;
  const cells = others.map((text, place) => {
    const classes = [
      data.columns[place + 1].number ? "number" : "",
      text.length > LONG ? "long" : "",
      (data.marked && SHADES[text.at(-1)]) || "",
    ];
    return element("td", { className: classes.join(" ") }, element("div", { title: text }, text));
  });
  const classes = name.length > LONG ? "name long" : "name";
  const named = element("th", { scope: "row", className: classes });
  named.append(element("div", { title: name }, name));
  const made = element("tr", {}, named, ...cells);
  made.texts = texts;
  if (data.tick) {
    const [value, type] = [data.ids[number], data.tick === "one" ? "radio" : "checkbox"];
    const properties = { type, value, name: "row", checked: ticked.has(value) };
    const input = element("input", { ...properties, ariaLabel: `Tick ${name}` });
    made.prepend(element("td", { className: "tick" }, input));
  }
  return made;
}

function draw(data, ticked) {
  const headings = element("tr", {}, ...data.columns.map(heading));
  if (data.tick) headings.prepend(element("td", { className: "tick" }));
  const rows = data.rows.map((texts, number) => row(texts, number, data, ticked));
  const parts = [element("thead", {}, headings), element("tbody", {}, ...rows)];
  return element("table", { ariaLabel: data.alt }, ...parts);
}

// Sorts what is shown: as numbers where every text of the column begins with one.
function sort(box, place, by) {
  const body = box.querySelector("tbody");
  const direction = box.sorted === by ? "descending" : "ascending";
  const [known, without] = [[], []];
  for (const each of body.rows) {
    (["", "–"].includes(each.texts[place]) ? without : known).push(each);
  }
  const isNumber = known.every(({ texts }) => NUMBER.test(texts[place]));
  const value = ({ texts }) => Number(texts[place].match(NUMBER)[0].replaceAll(",", ""));
  const compare = isNumber
    ? (a, b) => value(a) - value(b)
    : (a, b) => byLetters.compare(a.texts[place], b.texts[place]);
  known.sort(direction === "ascending" ? compare : (a, b) => compare(b, a));
  body.append(...known, ...without);
  box.sorted = direction === "ascending" ? by : null;
  showOrder(box, by, direction);
}

export default function ({ data, parentElement, setStateValue, setTriggerValue }) {
  const box = parentElement.querySelector(".box");
  const content = JSON.stringify(data);
  box.ticked ??= new Set();
  if (box.content !== content) {
    const focused = parentElement.activeElement?.closest("th button")?.value;
    box.ariaLabel = data.alt;
    box.className = data.whole ? "box" : "box cut";
    box.replaceChildren(draw(data, box.ticked));
    [box.content, box.sorted] = [content, null];
    const { by, ascending } = data.order ?? {};
    showOrder(box, by, ascending ? "ascending" : "descending");
    [...box.querySelectorAll("th button")].find(({ value }) => value === focused)?.focus();
  }
  box.onclick = ({ target }) => {
    const button = target.closest("th button");
    if (!button) {
      if (data.tick === "one") target.closest("tbody tr")?.querySelector("input:not(:checked)")?.click();
    } else if (data.order) {
      setTriggerValue("sort", button.value);
    } else {
      sort(box, data.columns.findIndex(({ name }) => name === button.value), button.value);
    }
  };
  box.onchange = ({ target }) => {
    if (data.tick === "one") box.ticked.clear();
    box.ticked[target.checked ? "add" : "delete"](target.value);
    setStateValue("ticked", [...box.ticked]);
  };
}
