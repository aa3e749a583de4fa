"""The shell of every page: one style, one script, nothing fetched from anywhere."""

from __future__ import annotations

from html import escape

_STYLE = """
:root { --paper:#fbfbf9; --card:#fff; --ink:#1c1f22; --soft:#666d74; --line:#e3e3df;
  --bright:#0b7a8f; --quiet:#cdd3d8; --band:rgba(11,122,143,.09); --warn:#9a5b00;
  color-scheme:light dark; }
@media (prefers-color-scheme: dark) { :root { --paper:#131619; --card:#1a1e22; --ink:#e7e9eb;
  --soft:#98a1a9; --line:#2b3137; --bright:#45c4d8; --quiet:#414a52;
  --band:rgba(69,196,216,.10); --warn:#e6b25c; } }
* { box-sizing:border-box; }
body { margin:0; background:var(--paper); color:var(--ink);
  font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;
  font-variant-numeric:tabular-nums; }
main { max-width:1080px; margin:0 auto; padding:40px 28px 80px; }
h1 { font-size:22px; font-weight:650; margin:0 0 2px; overflow-wrap:anywhere; }
h2 { font-size:17px; font-weight:650; margin:52px 0 4px; }
p { margin:0 0 14px; max-width:68ch; } .soft { color:var(--soft); }
.note { color:var(--warn); }
code { font:13px ui-monospace,SFMono-Regular,Menlo,monospace; }
.tiles { display:grid; grid-template-columns:repeat(auto-fit,minmax(150px,1fr)); gap:1px;
  background:var(--line); border:1px solid var(--line); border-radius:10px; overflow:hidden;
  margin:24px 0 8px; }
.tile { background:var(--card); padding:16px 18px; }
.tile b { display:block; font-size:26px; font-weight:600; line-height:1.2; letter-spacing:-.01em; }
.tile span { color:var(--soft); font-size:13px; }
table { border-collapse:collapse; width:100%; font-size:14px; }
.wide { overflow-x:auto; }
th { text-align:left; font-weight:500; color:var(--soft); font-size:13px; white-space:nowrap;
  border-bottom:1px solid var(--line); padding:6px 14px 6px 0; }
th button { all:unset; cursor:pointer; } th button:hover { color:var(--ink); }
th button:focus-visible { outline:2px solid var(--bright); outline-offset:2px; }
th[aria-sort=ascending] button::after { content:" ↑"; }
th[aria-sort=descending] button::after { content:" ↓"; }
td { border-bottom:1px solid var(--line); padding:9px 14px 9px 0; vertical-align:top; }
td.n, th.n { text-align:right; white-space:nowrap; }
td.n + td:not(.n), th.n + th:not(.n) { padding-left:18px; }
td.name { overflow-wrap:anywhere; min-width:180px; }
.meter { display:block; height:6px; border-radius:3px; background:var(--quiet); min-width:2px;
  margin-top:7px; } .meter.kept { background:var(--bright); }
svg { display:block; width:100%; height:auto; }
svg text { fill:var(--soft); font-size:12px; }
svg .quiet { fill:var(--quiet); } svg .bright { fill:var(--bright); }
svg .band { fill:var(--band); } svg .hit { fill:transparent; }
svg .hit:hover { fill:var(--band); }
svg .axis, svg .grid { stroke:var(--line); stroke-width:1; }
svg .line { fill:none; stroke:var(--bright); stroke-width:2.5; stroke-linejoin:round; }
svg .dot { fill:var(--bright); stroke:var(--card); stroke-width:1.5; }
svg .spread { fill:var(--bright); opacity:.16; }
svg .item { fill:none; stroke:var(--soft); stroke-width:1; opacity:.45; }
svg .dashed { fill:none; stroke:var(--soft); stroke-width:1.5; stroke-dasharray:5 4; }
.panel { background:var(--card); border:1px solid var(--line); border-radius:10px;
  padding:14px 16px; }
.charts { display:grid; grid-template-columns:repeat(auto-fill,minmax(300px,1fr)); gap:16px; }
.charts h3 { margin:0; font-size:14px; font-weight:600; }
.charts p { font-size:13px; margin:0 0 6px; color:var(--soft); min-height:40px; }
.charts p.value { min-height:0; margin:2px 0 0; }
.key { display:flex; gap:18px; flex-wrap:wrap; color:var(--soft); font-size:13px;
  margin:2px 0 8px; }
.key i { display:inline-block; width:11px; height:11px; border-radius:2px; margin-right:6px;
  background:var(--quiet); vertical-align:-1px; }
.key i.bright { background:var(--bright); } .key i.band { background:var(--band);
  outline:1px solid var(--line); }
.strip { display:flex; height:14px; border-radius:4px; overflow:hidden; margin:0 0 10px; }
table.labels { width:auto; } table.labels .key { margin:0; color:var(--ink); }
.cards { display:grid; grid-template-columns:repeat(auto-fill,minmax(min(480px,100%),1fr));
  gap:20px; }
.cards .panel { padding:12px; min-width:0; }
.pair { display:flex; gap:6px; align-items:flex-start; }
.view { position:relative; min-width:0; line-height:0; border-radius:4px; overflow:hidden; }
.view img { width:100%; display:block; }
.view img.map { position:absolute; left:0; top:0; image-rendering:pixelated;
  transition:opacity .15s; }
.plain .view img.map { opacity:0; }
.view.grey img:not(.map) { filter:grayscale(1); } .plain .view.grey img { filter:none; }
.view .mark { position:absolute; border:2px solid #fff; outline:1.5px solid #000; display:none;
  pointer-events:none; }
.view.gone { color:var(--soft); outline:1px dashed var(--line); outline-offset:-1px; }
.view.gone span { position:absolute; inset:0; display:flex; flex-direction:column; padding:8px;
  align-items:center; justify-content:center; text-align:center; font-size:13px;
  line-height:1.4; overflow-wrap:anywhere; } .view.gone br { display:none; }
.card h3 { font-size:14px; font-weight:600; margin:10px 0 0; overflow-wrap:anywhere; }
.card .why { margin:0; font-size:13px; color:var(--bright); }
.card.rejected .why { color:var(--warn); }
.facts { display:flex; flex-wrap:wrap; gap:0 14px; font-size:13px; margin:2px 0 0; padding:0;
  list-style:none; } .facts span { color:var(--soft); }
label.switch { font-size:13px; color:var(--soft); cursor:pointer; user-select:none; }
footer { margin-top:60px; color:var(--soft); font-size:13px; overflow-wrap:anywhere; }
@media print { .cards { display:block; } .card { break-inside:avoid; margin-bottom:14px; } }
"""

_SCRIPT = """
for (const table of document.querySelectorAll('table.sortable')) {
  const heads = [...table.querySelectorAll('th')];
  heads.forEach((head, column) => head.querySelector('button').addEventListener('click', () => {
    const number = head.classList.contains('n'), sorted = head.getAttribute('aria-sort');
    const down = number ? sorted !== 'descending' : sorted === 'ascending';
    heads.forEach(other => other.removeAttribute('aria-sort'));
    head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
    const value = row => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const rows = [...table.tBodies[0].rows].sort((a, b) => number
      ? value(a) - value(b) : value(a).localeCompare(value(b), undefined, {numeric: true}));
    if (down) rows.reverse();
    table.tBodies[0].append(...rows);
  }));
}
for (const box of document.querySelectorAll('label.switch input'))
  box.addEventListener('change', () =>
    box.closest('section').classList.toggle('plain', !box.checked));
for (const card of document.querySelectorAll('[data-corr]')) {
  const corr = JSON.parse(card.dataset.corr), side = +card.dataset.patch;
  const views = [...card.querySelectorAll('.view')];
  const mark = (view, patch) => {
    const [width, height] = view.dataset.size.split('x').map(Number);
    const columns = Math.floor(width / side), box = view.querySelector('.mark').style;
    box.display = patch === undefined ? 'none' : 'block';
    if (patch === undefined) return;
    box.left = 100 * (patch % columns) * side / width + '%';
    box.top = 100 * Math.floor(patch / columns) * side / height + '%';
    box.width = 100 * side / width + '%'; box.height = 100 * side / height + '%';
  };
  const maps = [new Map(corr), new Map(corr.map(([a, b]) => [b, a]))];
  views.forEach((view, here) => {
    view.addEventListener('mousemove', event => {
      const [width, height] = view.dataset.size.split('x').map(Number);
      const frame = view.getBoundingClientRect(), columns = Math.floor(width / side);
      const x = Math.floor((event.clientX - frame.left) / frame.width * width / side);
      const y = Math.floor((event.clientY - frame.top) / frame.height * height / side);
      const partner = maps[here].get(y * columns + x);
      const inside = x < columns && partner !== undefined;
      mark(view, inside ? y * columns + x : undefined);
      mark(views[1 - here], inside ? partner : undefined);
    });
    view.addEventListener('mouseleave', () => views.forEach(other => mark(other)));
  });
}
"""


def page(title: str, body: str) -> str:
    """A whole HTML document that needs nothing but itself."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main>{body}</main><script>{_SCRIPT}</script></body></html>\n"
    )
