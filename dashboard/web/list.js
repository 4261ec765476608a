// All objects as a table, by kind.
import { el, icon, write, attr, byId } from './dom.js';
import { t, stateWord } from './texts.js';
import { objects, rankOf, byName } from './store.js';

const rows = new Map();
let body = null, only = '', open, frame = 0;

export function startList(onopen) {
	open = onopen;
	byId('filter').addEventListener('input', drawList);
}

export function listOnly(namespace) { only = namespace; drawList(); }

export function redrawList() { rows.clear(); body = null; drawList(); }

export function drawList() { if (!byId('list').hidden) frame ||= requestAnimationFrame(draw); }

function draw() {
	frame = 0;
	if (!body) makeTable();
	const words = byId('filter').value.toLowerCase().split(/\s+/);
	const found = [...objects.values()].filter((object) => fits(object, words)).sort(order);
	const keep = new Set(found.map((object) => object.id));
	for (const [id, row] of rows) if (!keep.has(id)) { row.element.remove(); rows.delete(id); }
	let next = body.firstChild;
	for (const object of found) {
		const row = rows.get(object.id) || makeRow(object.id);
		paintRow(row, object);
		if (next === row.element) next = next.nextSibling;
		else body.insertBefore(row.element, next);
	}
	write(byId('list-count'), found.length ? t('objectCount', found.length) : t('noneFound'));
}

function fits({ kind, name, namespace, text, state }, words) {
	if (only && namespace && namespace !== only) return false;
	const all = [kind, name, namespace, text, stateWord(state)].join(' ').toLowerCase();
	return words.every((word) => all.includes(word));
}

const order = (a, b) => rankOf(a) - rankOf(b) || byName(a, b);

function makeTable() {
	body = el('tbody');
	const heads = ['kind', 'name', 'namespace', 'state', 'text'].map((name) => el('th', { scope: 'col' }, t('head.' + name)));
	byId('table').replaceChildren(el('table', { 'aria-label': t('list') }, el('thead', el('tr', heads)), body));
}

function makeRow(id) {
	const row = { name: el('button.link', { 'data-id': id, onclick: () => open(id) }), mark: icon('idle', 'none'), word: el('span') };
	for (const cell of ['kind', 'space', 'text']) row[cell] = el('td.c-' + cell);
	row.state = el('td', row.mark, row.word);
	row.element = el('tr', row.kind, el('th', { scope: 'row' }, row.name), row.space, row.state, row.text);
	rows.set(id, row);
	return row;
}

function paintRow(row, object) {
	if (row.object === object) return;
	row.object = object;
	write(row.kind, object.kind);
	write(row.name, object.name);
	write(row.space, object.namespace);
	write(row.word, stateWord(object.state));
	write(row.text, object.text);
	attr(row.mark.firstChild, 'href', '#i-' + object.state);
	attr(row.state, 'class', 'c-state s-' + object.state);
}
