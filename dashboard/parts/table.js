// Draws a table. Every text is set as text, never as markup.

const ARROWS = { ascending: " ▴", descending: " ▾", none: "" };
const SHADES = { "●": "best", "○": "tied" };
// A figure of ours: a number, which an interval, a mark or a sign may follow, but no word.
const NUMBER = /^\s*<?\s*([+-]?(?:\d[\d,]*\.?\d*(?:e[+-]?\d+)?|inf))(?=\s*(?:$|[(%●○†◀]))/;
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

function isLong(text) {
  return text.length > LONG || text.includes("\n");
}

function row(texts, number, data) {
  const [name, ...others] = texts;
  const cells = others.map((text, place) => {
    const classes = [
      data.columns[place + 1].number ? "number" : "",
      isLong(text) ? "long" : "",
      (data.marked && SHADES[text.at(-1)]) || "",
    ];
    return element("td", { className: classes.join(" ") }, element("div", {}, text));
  });
  const classes = isLong(name) ? "name long" : "name";
  const named = element("th", { scope: "row", className: classes });
  named.append(element("div", { title: name }, name));
  const made = element("tr", {}, named, ...cells);
  Object.assign(made, { texts, number });
  if (data.tick) {
    const [value, type] = [data.ids[number], data.tick === "one" ? "radio" : "checkbox"];
    const input = element("input", { type, value, name: "row", ariaLabel: `Tick ${name}` });
    made.prepend(element("td", { className: "tick" }, input));
  }
  return made;
}

function draw(data) {
  const headings = element("tr", {}, ...data.columns.map(heading));
  if (data.tick) headings.prepend(element("td", { className: "tick" }));
  const rows = data.rows.map((texts, number) => row(texts, number, data));
  const parts = [element("thead", {}, headings), element("tbody", {}, ...rows)];
  return element("table", { ariaLabel: data.alt }, ...parts);
}

function valueOf(text) {
  return Number(text.match(NUMBER)[1].replaceAll(",", "").replace("inf", "Infinity"));
}

// Sorts what is shown: upwards, downwards, then as it came; rows without a value are last.
function sort(box, place, by) {
  const next = { ascending: "descending", descending: "none", none: "ascending" };
  const direction = next[box.sorted?.by === by ? box.sorted.direction : "none"];
  const rows = [...box.querySelectorAll("tbody tr")].sort((a, b) => a.number - b.number);
  const text = ({ texts }) => texts[place];
  const isKnown = (each) => !["", "–"].includes(text(each));
  const known = rows.filter(isKnown);
  const compare = known.every((each) => NUMBER.test(text(each)))
    ? (a, b) => valueOf(text(a)) - valueOf(text(b))
    : (a, b) => byLetters.compare(text(a), text(b));
  if (direction === "ascending") known.sort(compare);
  if (direction === "descending") known.sort((a, b) => compare(b, a));
  const without = rows.filter((each) => !isKnown(each));
  box.querySelector("tbody").append(...(direction === "none" ? rows : [...known, ...without]));
  box.sorted = { by, direction };
  showOrder(box, by, direction);
}

// Only what scrolls is a place of its own to a keyboard and a screen reader.
function showReach(box, alt) {
  const scrolls = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight;
  box.role = scrolls ? "region" : null;
  box.ariaLabel = scrolls ? `${alt}, scrolling` : null;
  box.tabIndex = scrolls ? 0 : -1;
}

export default function ({ data, parentElement, setStateValue, setTriggerValue }) {
  const box = parentElement.querySelector(".box");
  const content = JSON.stringify({ ...data, ticked: [] });
  if (data.tick === "one" || !box.ticked) box.ticked = new Set(data.ticked);
  if (box.content !== content) {
    const focused = parentElement.activeElement?.closest("th button")?.value;
    box.className = data.whole ? "box" : "box cut";
    box.replaceChildren(draw(data));
    [box.content, box.sorted] = [content, null];
    const { by, ascending } = data.order ?? {};
    showOrder(box, by, ascending ? "ascending" : "descending");
    [...box.querySelectorAll("th button")].find(({ value }) => value === focused)?.focus();
  }
  for (const input of box.querySelectorAll("input")) input.checked = box.ticked.has(input.value);
  box.observer?.disconnect();
  box.observer = new ResizeObserver(() => showReach(box, data.alt));
  box.observer.observe(box);
  box.onclick = ({ target }) => {
    const button = target.closest("th button");
    if (!button) {
      const selected = (parentElement.getSelection?.() ?? getSelection()).toString();
      const line = data.tick === "one" && !selected && target.closest("tbody tr");
      if (line) line.querySelector("input:not(:checked)")?.click();
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
