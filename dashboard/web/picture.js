// The picture: boxes that glide to their places, and the lines between them.
import { el, svg, icon, write, attr, calm, byId, shown } from './dom.js';
import { t, word, kindWord, stateWord, sayCount, factText } from './texts.js';
import { objects, childrenOf, podsOf, fact, imageTag, shortName, countOf } from './store.js';
import { layout, forget, lineEnd, nameLines } from './layout.js';

const GLIDE = 200;
const nodes = new Map();   // id -> {element, place, now, from, start, parent, focus, parts}
const moving = new Set();
const lines = new Map();   // key -> {path, link, d}
const uses = new Map();    // the same, for the chosen object only
const todo = { layout: false, paint: new Set(), frame: 0, snap: true };
let drawn = { places: new Map(), links: new Map(), width: 0 };
let only = '', hover = '', focused = '';
let current = '';          // the one object that Tab reaches
let stage, canvas;

export function startPicture(open) {
	stage = byId('stage');
	const heads = ['end', 'end-hi', 'end-use'].map((id) => {
		const head = svg('marker', { id, viewBox: '0 0 8 8', refX: 6.5, refY: 4, markerWidth: 4.2, markerHeight: 4.2, orient: 'auto' });
		head.append(svg('path', { d: 'M0 0L8 4L0 8Z', class: id }));
		return head;
	});
	canvas = svg('svg', { class: 'lines', 'aria-hidden': 'true' });
	canvas.append(...heads);
	stage.append(canvas);
	const idAt = (event) => event.target.closest?.('[data-id]')?.dataset.id || '';
	const on = (name, act) => stage.addEventListener(name, act);
	on('click', (event) => { const id = idAt(event); if (id) open(id); });
	on('pointerover', (event) => setHover(idAt(event)));
	on('pointerleave', () => setHover(''));
	on('focusin', (event) => { focused = idAt(event); if (focused) setCurrent(focused); highlight(); });
	on('focusout', () => { focused = ''; highlight(); });
	on('keydown', onKey);
	new ResizeObserver(() => { if (stage.clientWidth !== drawn.width) showOnly(only); }).observe(stage);
}

export function update({ reset, changed, moved }) {
	todo.snap ||= reset;
	forget(moved);
	for (const id of changed) todo.paint.add(id);
	later(reset || moved.size > 0);
}

export function showOnly(namespace) { only = namespace; todo.snap = true; later(true); }

// repaint writes all texts anew, for another language.
export function repaint() { todo.paint = new Set(nodes.keys()); later(false); }

function later(withLayout) {
	todo.layout ||= withLayout;
	todo.frame ||= requestAnimationFrame(frame);
}

function frame(time) {
	todo.frame = 0;
	if (todo.layout && stage.clientWidth) arrange(time);
	for (const id of todo.paint) if (nodes.has(id)) paint(nodes.get(id), id, objects.get(id));
	todo.paint.clear();
	if (moving.size) glide(time);
	if (moving.size) later(false);
}

// arrange works the places out and starts the boxes on their way.
function arrange(time) {
	todo.layout = false;
	const snap = todo.snap || calm();
	drawn = layout(stage.clientWidth, only);
	const last = new Map();
	for (const [id, place] of drawn.places) putNode(id, place, last, snap, time);
	for (const [id, node] of nodes) if (!drawn.places.has(id)) remove(id, node, snap);
	const height = Math.ceil(drawn.height + 12);
	stage.style.height = height + 'px';
	attr(canvas, 'width', drawn.width);
	attr(canvas, 'height', height);
	if (drawn.places.size && todo.snap) { todo.snap = false; performance.mark('picture'); }
	if (!nodes.get(current)?.focus) setCurrent([...nodes].find(([, node]) => node.focus)?.[0] || '');
	keepLines(lines, drawn.links, 'line');
	highlight();
	drawLines();
}

function putNode(id, place, last, snap, time) {
	let node = nodes.get(id);
	if (node && make[node.place.form] !== make[place.form]) { remove(id, node, true); node = null; }
	const isNew = !node;
	if (isNew) {
		node = { now: {}, place: {}, parts: {}, focus: null };
		nodes.set(id, node);
		make[place.form](node, id);
		if (!snap) node.element.classList.add('new');
	}
	const old = node.place;
	const parent = node.parent = nodes.get(place.parent);
	const holder = place.form === 'dot' ? parent.dots : parent ? parent.element : stage;
	if (node.element.parentNode !== holder) {
		// in reading order
		const before = last.get(holder);
		if (before) before.after(node.element); else holder.append(node.element);
		snap = true;
	}
	last.set(holder, node.element);
	node.place = place;
	const sameSize = ['w', 'h', 'form', 'pods'].every((key) => old[key] === place[key]);
	if (!sameSize) todo.paint.add(id);
	if (snap) { moving.delete(node); put(node, place); } else if (!sameSize || old.x !== place.x || old.y !== place.y) {
		node.from = node.now;
		node.start = time;
		moving.add(node);
	}
}

function remove(id, node, snap) {
	const { element } = node;
	nodes.delete(id);
	moving.delete(node);
	if (element.contains(document.activeElement)) (node.parent?.focus || stage).focus({ preventScroll: true });
	if (snap) { element.remove(); return; }
	element.classList.add('gone');
	element.inert = true;
	setTimeout(() => element.remove(), GLIDE);
}

function put(node, { x, y, w, h }) {
	const { element, now } = node;
	if (node.place.form === 'dot') element.setAttribute('transform', `translate(${x} ${y})`);
	else {
		element.style.transform = `translate(${x}px,${y}px)`;
		if (now.w !== w) element.style.width = w + 'px';
		if (now.h !== h) element.style.height = h + 'px';
	}
	node.now = { x, y, w, h };
}

function glide(time) {
	for (const node of moving) {
		const part = Math.max(0, Math.min(1, (time - node.start) / GLIDE));
		const eased = 1 - (1 - part) ** 3;
		const at = {};
		for (const key of ['x', 'y', 'w', 'h']) at[key] = node.from[key] + (node.place[key] - node.from[key]) * eased;
		put(node, at);
		if (part === 1) moving.delete(node);
	}
	drawLines();
}

// spot is where a node is at this moment, counted from the stage.
function spot(node) {
	let { x, y } = node.now;
	for (let up = node.parent; up; up = up.parent) { x += up.now.x; y += up.now.y; }
	return { x, y, w: node.now.w, h: node.now.h };
}

function fill(node, element, names, withIcon) {
	if (withIcon) {
		const made = icon('idle', 'none');
		node.parts.use = made.firstChild;
		element.append(made);
	}
	for (const name of names) element.append(node.parts[name] = el('span.' + name, { 'aria-hidden': 'true' }));
	return element;
}

// boxButton: one text is heard in place of the short ones that are seen.
function boxButton(node, id, name) {
	return node.focus = el('button.' + name, { 'data-id': id, tabindex: '-1' }, node.parts.label = el('span.heard'));
}

const make = {
	box(node, id) { node.element = fill(node, boxButton(node, id, 'pod'), ['name', 'tag', 'text'], true); },
	dot(node, id) { node.element = svg('path', { 'data-id': id }); },
	item(node, id) {
		const top = fill(node, el('span.top'), ['kind'], true);
		node.element = boxButton(node, id, 'item');
		node.element.append(top);
		fill(node, node.element, ['name', 'lines']);
	},
	small(node, id) { node.element = fill(node, boxButton(node, id, 'small'), ['name']); },
	caption(node) { node.element = el('div.caption'); },
	frame(node, id) {
		fill(node, boxButton(node, id, 'head'), ['kind', 'name', 'count'], true);
		node.dots = svg('svg', { class: 'dots', 'aria-hidden': 'true' });
		node.element = el('div', { role: 'group' }, node.focus, node.dots);
	},
	band(node, id) {
		const head = fill(node, objects.has(id) ? boxButton(node, id, 'head') : el('div.head'), ['kind', 'name', 'text']);
		node.element = el('div.band', { role: 'group' }, head);
	},
};
make.chip = make.box;

// label is for readers of the screen: "Pod a, ready, Running 1/1".
export function label(object, ...more) {
	return [`${object.kind} ${object.name}`, stateWord(object.state), object.text, ...more].filter(Boolean).join(t('comma'));
}

function paint(node, id, object) {
	const { form } = node.place;
	if (form === 'caption') write(node.element, t(id.replace('caption/', 'column.')));
	else if (form === 'band') paintBand(node, id, object);
	else if (object) {
		if (node.parts.use) attr(node.parts.use, 'href', '#i-' + object.state);
		paints[form](node, object);
	}
}

function setClass({ element }, text) { attr(element, 'class', text + (element.classList.contains('rel') ? ' rel' : '')); }

// Each state has a shape of its own, so that no colour is needed to tell.
const SHAPES = {
	ready: 'M1 1H15V15H1Z',
	waiting: 'M2.5 2.5H13.5V13.5H2.5ZM7 7H9V9H7Z',
	failing: 'M2 2L14 14M14 2L2 14',
	done: 'M8 2A6 6 0 0 1 8 14A6 6 0 0 1 8 2Z',
	going: 'M3 8H13',
	idle: 'M8 4A4 4 0 0 1 8 12A4 4 0 0 1 8 4Z',
};

const paints = {
	box(node, object) {
		const { element, parts, place } = node;
		const restarts = Number(fact(object, 'restarts')) || 0;
		const large = place.form === 'box';
		setClass(node, `pod ${place.form} s-${object.state}`);
		write(parts.name, shortName(object));
		write(parts.tag, large ? imageTag(object) : '');
		write(parts.text, large ? (restarts ? `↻${restarts} ` : '') + (object.text || stateWord(object.state)) : '');
		write(parts.label, label(object, restarts && t('restartsOf', restarts)));
		attr(element, 'title', shown(object.name));
	},
	dot(node, object) {
		attr(node.element, 'd', SHAPES[object.state]);
		attr(node.element, 'class', 'dot s-' + object.state);
	},
	item(node, object) {
		const { element, parts, place } = node;
		setClass(node, `item k-${object.kind} s-${object.state}${nameLines(object.name, place.w) > 1 ? ' long' : ''}`);
		write(parts.kind, kindWord(object.kind));
		write(parts.name, object.name);
		parts.lines.replaceChildren(...object.facts.slice(0, place.facts).map(([key, value]) => el('span', (object.kind === 'Release' ? word(key) + ' ' : '') + value)));
		write(parts.label, label(object));
		attr(element, 'title', `${shown(object.name)}\n${shown(object.text)}`);
	},
	small(node, object) {
		const text = [t('revision', fact(object, 'revision') || '?'), imageTag(object)].filter(Boolean).join(' · ');
		write(node.parts.name, text);
		write(node.parts.label, label(object, text));
	},
	frame(node, object) {
		const { focus, parts, place, dots } = node;
		const revision = object.kind === 'ReplicaSet' && fact(object, 'revision');
		setClass(node, `frame s-${object.state}${place.aside ? ' aside' : ''}${place.tall ? ' tall' : ''}`);
		write(parts.kind, revision ? t('revision', revision) : object.kind);
		write(parts.name, revision ? imageTag(object) : shortName(object));
		const times = object.kind === 'CronJob' && object.facts.map((fact) => (fact[0] === 'schedule' ? '' : word(fact[0]) + ' ') + factText(fact)).join(' · ');
		write(parts.count, times || countOf(object));
		const said = times || (place.pods === 'dot' ? sayCount(podsOf(object.id)) : countOf(object) && t('readyOf', object.ready ?? 0, object.wanted));
		attr(node.element, 'aria-label', `${object.kind} ${shown(object.name)}`);
		write(parts.label, label(object, said));
		attr(focus, 'title', `${object.kind} ${shown(object.name)}\n${said}`);
		attr(dots, 'width', place.pods === 'dot' ? place.w : 0);
		attr(dots, 'height', place.pods === 'dot' ? place.h : 0);
	},
};
paints.chip = paints.box;

function paintBand(node, id, object) {
	const name = object?.name || id.slice('Namespace/'.length);
	write(node.parts.kind, 'Namespace');
	write(node.parts.name, name);
	write(node.parts.text, node.place.h <= 44 ? t('bandEmpty') : '');
	attr(node.element, 'aria-label', `Namespace ${shown(name)}`);
	if (object) write(node.parts.label, label(object));
}

function keepLines(have, links, name) {
	for (const [key, line] of have) if (!links.has(key)) { line.path.remove(); have.delete(key); }
	for (const [key, link] of links) {
		if (have.has(key)) have.get(key).link = link;
		else have.set(key, { path: canvas.appendChild(svg('path', { class: name })), link, d: '' });
	}
}

function drawLines() {
	for (const [all, shape] of [[lines, routeLine], [uses, useLine]]) {
		for (const line of all.values()) {
			const from = nodes.get(line.link.from);
			const to = nodes.get(line.link.to);
			const d = from && to ? shape(spot(from), spot(to), to, line.link) : '';
			if (d !== line.d) line.path.setAttribute('d', line.d = d);
		}
	}
}

// path`M${x} ${y}` rounds the numbers.
function path(words, ...values) {
	return words.reduce((all, text, i) => all + Math.round(values[i - 1] * 10) / 10 + text);
}

// routeLine leads to the upper edge of a pod by the lane above its row, so
// that it never runs behind another pod.
function routeLine(a, b, to, link) {
	const pod = to.place.form === 'box' || to.place.form === 'chip';
	if (drawn.down) return railLine(a, b, pod, link.rail);
	const sy = a.y + a.h / 2;
	const { x, row } = to.place;
	if (!pod || (x === row && !to.parent?.dots)) return bend(a.x + a.w, sy, b.x - 2, b.y + (to.dots ? Math.min(b.h / 2, 22) : b.h / 2));
	const lane = b.y - 9;
	return bend(a.x + a.w, sy, b.x - x + row - 4, lane) + drop(b, lane);
}

function bend(sx, sy, tx, ty) {
	const mid = (sx + tx) / 2;
	return path`M${sx} ${sy}C${mid} ${sy} ${mid} ${ty} ${tx} ${ty}`;
}

function drop(b, lane) {
	const x = b.x + b.w / 2;
	return path`H${x - 6}Q${x} ${lane} ${x} ${b.y - 2}`;
}

function railLine(a, b, pod, number) {
	const rail = a.x - 6 - 4 * number;
	const sy = a.y + a.h / 2;
	const ty = pod ? b.y - 9 : b.y + Math.min(b.h / 2, 22);
	return path`M${a.x} ${sy}H${rail + 5}Q${rail} ${sy} ${rail} ${sy + 5}V${ty - 5}Q${rail} ${ty} ${rail + 5} ${ty}`
		+ (pod ? drop(b, ty) : path`H${b.x - 2}`);
}

function useLine(a, b) {
	if (drawn.aside) {
		const right = b.x >= a.x + a.w;
		return bend(right ? a.x + a.w : a.x, a.y + a.h / 2, right ? b.x - 2 : b.x + b.w + 2, b.y + b.h / 2);
	}
	const below = b.y >= a.y + a.h;
	const [sx, sy, tx, ty] = [a.x + a.w / 2, below ? a.y + a.h : a.y, b.x + b.w / 2, below ? b.y - 2 : b.y + b.h + 2];
	const mid = (sy + ty) / 2;
	return path`M${sx} ${sy}C${sx} ${mid} ${tx} ${mid} ${tx} ${ty}`;
}

function setHover(id) {
	if (id === hover) return;
	hover = id;
	const square = nodes.get(id)?.place.form === 'dot' && objects.get(id);
	write(byId('pointed'), square ? label(square) : '');
	highlight();
}

function highlight() {
	const id = hover || focused;
	const near = id ? nearTo(id) : new Set();
	for (const { path: line, link } of lines.values()) {
		const hi = near.has(link.from) && near.has(link.to);
		attr(line, 'class', hi ? 'line hi' : 'line');
		if (hi && line.nextSibling) canvas.append(line);
	}
	keepLines(uses, id ? usesOf(id) : new Map(), 'line use');
	if (uses.size) drawLines();
	for (const { link } of uses.values()) near.add(link.from).add(link.to);
	for (const [other, node] of nodes) if (node.place.form !== 'dot') node.element.classList.toggle('rel', other !== id && near.has(other));
}

function nearTo(id) {
	const { kind, to } = objects.get(id) || {};
	const near = new Set([id, ...podsOf(id).map((pod) => pod.id), ...(kind === 'Release' ? to : [])].map((at) => lineEnd(drawn.places, at) || at));
	const walk = (at, from, to) => {
		for (const { link } of lines.values()) {
			if (link[from] === at && !near.has(link[to])) { near.add(link[to]); walk(link[to], from, to); }
		}
	};
	if (kind !== 'Release') for (const at of [...near]) { walk(at, 'to', 'from'); walk(at, 'from', 'to'); }
	return near;
}

// usesOf gives the lines to settings and claims: too many to show always.
function usesOf(id) {
	const found = new Map();
	const object = objects.get(id);
	if (!object || ['Ingress', 'Service', 'Release', 'Namespace', 'Node'].includes(object.kind)) return found;
	const add = (one, other) => {
		const [from, to] = [lineEnd(drawn.places, one), lineEnd(drawn.places, other)];
		if (from && to) found.set(from + '>' + to, { from, to });
	};
	for (const user of [object, ...podsOf(id)]) for (const target of user.to) add(user.id, target);
	if (object.kind !== 'Pod' && !childrenOf(id).size) {
		for (const user of objects.values()) if (user.kind === 'Pod' && user.to.includes(id)) add(user.id, id);
	}
	return found;
}

let travelling = 0;

// travel waits for the lines that other news of the same moment brings.
export function travel(request) { if (!document.hidden) requestAnimationFrame(() => go(request)); }

function go({ path: ids = [], ok }) {
	const way = ids.slice(1).map((id, i) => lines.get(lineEnd(drawn.places, ids[i]) + '>' + lineEnd(drawn.places, id))?.path).filter((line) => line?.getAttribute('d'));
	if (!way.length || travelling > 8) return;
	if (calm()) {
		const name = ok ? 'pulse' : 'pulse-bad';
		for (const line of way) line.classList.add(name);
		setTimeout(() => { for (const line of way) line.classList.remove(name); }, 700);
		return;
	}
	travelling++;
	const dot = canvas.appendChild(svg('circle', { r: 7, class: ok ? 'traffic' : 'traffic bad' }));
	const lengths = way.map((line) => line.getTotalLength());
	const whole = lengths.reduce((a, b) => a + b, 0);
	const start = performance.now();
	const step = (time) => {
		const part = Math.max(0, time - start) / 900;
		let at = part * whole, leg = 0;
		while (leg < way.length - 1 && at > lengths[leg]) at -= lengths[leg++];
		if (part >= 1 || !way[leg].isConnected) { dot.remove(); travelling--; return; }
		const { x, y } = way[leg].getPointAtLength(at);
		dot.setAttribute('transform', `translate(${x} ${y})`);
		requestAnimationFrame(step);
	};
	step(start);
}

function setCurrent(id) {
	const set = (value) => { const focus = nodes.get(current)?.focus; if (focus) focus.tabIndex = value; };
	set(-1);
	current = id;
	set(0);
}

const ARROWS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };

// onKey goes to the nearest box in the direction of an arrow.
function onKey(event) {
	const way = ARROWS[event.key];
	const here = nodes.get(current);
	if (!way || !here || event.altKey || event.ctrlKey || event.metaKey) return;
	event.preventDefault();
	const [ax, ay] = middleOf(here);
	let best = null, least = Infinity;
	for (const node of nodes.values()) {
		if (!node.focus || node === here) continue;
		const [bx, by] = middleOf(node);
		const along = (bx - ax) * way[0] + (by - ay) * way[1];
		const aside = Math.abs((bx - ax) * way[1]) + Math.abs((by - ay) * way[0]);
		if (along > 6 && along + 2.5 * aside < least) { least = along + 2.5 * aside; best = node; }
	}
	best?.focus.focus();
}

// middleOf a frame is that of its head.
function middleOf(node) {
	const { x, y, w, h } = spot(node);
	return node.focus === node.element ? [x + w / 2, y + h / 2] : [x + Math.min(w, 150) / 2, y + 17];
}
