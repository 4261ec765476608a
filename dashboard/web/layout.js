// Where everything is in the picture: only numbers here, no elements.
// layout() gives places: id -> {parent, form, x, y, w, h}, from the parent's
// corner. What stands inside a workload is kept until something of it changes.
import { objects, childrenOf, FRAMES, rankOf, fact, byName, namespaces } from './store.js';

const PAD = 10;      // inside a frame, and between pods
const LANE = 16;     // above a row of pods: here the lines come in
const GAP = 14;      // between blocks
const DOT = 20;      // a small square with its space
const PODS = { box: { w: 136, most: 190, h: 62 }, chip: { w: 112, most: 130, h: 34 }, alone: { w: 200, most: 226, h: 62 } };

const blocks = new Map();  // id of a workload -> {key, places}
const forms = new Map();   // id of a frame -> how its pods were drawn last
const slots = new Map();   // id of a frame -> Map of pod -> number of its square
let places, total;

// forget drops what is kept about the workloads of these ids.
export function forget(ids) {
	for (const id of ids) {
		blocks.delete(id);
		blocks.delete(rootOf(id));
		if (!objects.has(id)) { forms.delete(id); slots.delete(id); }
	}
}

function framed(object) { return FRAMES.has(objects.get(object?.owner)?.kind); }

function rootOf(id) {
	for (let deep = 0; deep < 6 && framed(objects.get(id)); deep++) id = objects.get(id).owner;
	return id;
}

// layout places everything for a width; only is one namespace, or ''.
export function layout(width, only) {
	places = new Map();
	total = objects.size;
	const bands = sortIntoBands(only);
	const names = namespaces().filter((name) => !only || name === only);
	const several = names.length > 1;
	const columns = shareOut(width, several ? 12 : 2, [...bands].filter(([name]) => name).map(([, band]) => band));
	let y = 0;
	if (columns.captions.length > 1 && bands.size) {
		for (const [key, x, w] of columns.captions) places.set('caption/' + key, { parent: '', form: 'caption', x, y, w, h: 24 });
		y = 30;
	}
	for (const name of names) {
		if (several) y += placeBand(name, bands.get(name), columns, y) + GAP;
		else if (bands.has(name)) y = placeInside('', bands.get(name), columns, y);
	}
	if (bands.has('')) y = flow('', bands.get('').other, columns.edge, y + GAP, width - 2 * columns.edge, 190);
	return { places, width, height: y, down: columns.down, aside: columns.settings, links: links() };
}

function sortIntoBands(only) {
	const bands = new Map();
	for (const object of objects.values()) {
		const name = object.namespace;
		if (object.kind === 'Namespace' || (only && name && name !== only) || framed(object)) continue;
		if (!bands.has(name)) bands.set(name, { ingress: [], service: [], work: [], pods: [], other: [] });
		const column = { Ingress: 'ingress', Service: 'service', Pod: 'pods' }[object.kind] || (FRAMES.has(object.kind) ? 'work' : 'other');
		bands.get(name)[column].push(object);
	}
	for (const band of bands.values()) for (const list of Object.values(band)) list.sort((a, b) => rankOf(a) - rankOf(b) || byName(a, b));
	return bands;
}

// shareOut divides the width: Ingress, Service, workloads, settings.
function shareOut(width, edge, bands) {
	const has = (column) => bands.some((band) => band[column].length);
	const columns = { edge, down: width < 560, captions: [] };
	let x = edge;
	const take = (name, w, gap) => {
		columns[name] = { x, w };
		columns.captions.push([name, x, w]);
		x += w + gap;
	};
	if (columns.down) {
		columns.work = { x: edge + 22, w: width - 2 * edge - 22 };
		return columns;
	}
	if (has('ingress')) take('ingress', clamp(width * 0.17, 150, 230), clamp(width * 0.035, 26, 70));
	if (has('service')) take('service', clamp(width * 0.2, 170, 250), clamp(width * 0.045, 34, 90));
	let rest = width - x - edge;
	const settings = has('other') && rest - 230 >= (has('work') ? 470 : 240);
	if (settings) rest -= 230;
	take('work', total > 260 ? rest : Math.min(rest, has('work') ? 720 : 470), 40);
	if (settings) take('settings', 190, 0);
	return columns;
}

function clamp(value, least, most) { return Math.round(Math.max(least, Math.min(most, value))); }

function placeBand(name, band, columns, y) {
	const id = [...objects.values()].find((object) => object.kind === 'Namespace' && object.name === name)?.id || 'Namespace/' + name;
	const right = columns.settings || columns.work;
	const place = { parent: '', form: 'band', x: 0, y, w: right.x + right.w + columns.edge, h: 44 };
	places.set(id, place);
	if (band) place.h = placeInside(id, band, columns, 44) + 12;
	return place.h;
}

// placeInside gives the lower end of what it has placed.
function placeInside(parent, band, columns, top) {
	const services = firstNamed(band.service, band.ingress, (id) => id);
	if (columns.down) return placeDown(parent, band, services, columns.work, top);
	let bottom = placeWork(parent, band, services, columns.work, top);
	const under = columns.settings ? bottom : placeOther(parent, band, columns.work, bottom);
	bottom = Math.max(under, alignTo(parent, services, columns.service, 1, top), alignTo(parent, band.ingress, columns.ingress, 3, top));
	if (columns.settings) bottom = Math.max(bottom, flow(parent, band.other, columns.settings.x, top, 190, 190));
	return bottom;
}

function placeOther(parent, { other }, { x, w }, bottom, least = 190) {
	return other.length ? flow(parent, other, x, bottom + GAP, w, least) : bottom;
}

// placeDown is for a phone: a Service above its workload, lines along the edge.
function placeDown(parent, band, services, column, top) {
	const stack = (list, y) => list.reduce((at, object) => at + GAP + placeItem(parent, object, column.x, at, column.w, object.kind === 'Ingress' ? 3 : 1), y);
	const roots = new Set(band.work.map(({ id }) => id));
	const to = (service) => service.to.map(rootOf).find((id) => roots.has(id));
	const others = services.filter((service) => !to(service));
	const before = (id, y) => stack(services.filter((service) => to(service) === id), y);
	return placeOther(parent, band, column, placeWork(parent, band, services, column, stack([...band.ingress, ...others], top), before), 150);
}

// firstNamed sorts by the order of what leads there: fewer lines cross.
function firstNamed(list, leading, of) {
	const rank = new Map();
	for (const { to } of leading) for (const id of to) if (!rank.has(of(id))) rank.set(of(id), rank.size);
	const at = (object) => rank.get(object.id) ?? Infinity;
	return [...list].sort((a, b) => (at(a) === at(b) ? 0 : at(a) - at(b)));
}

function placeWork(parent, band, services, { x, w }, top, before = (id, y) => y) {
	let y = top;
	for (const object of firstNamed(band.work, services, rootOf)) {
		y = before(object.id, y);
		y += placeBlock(parent, object, x, y, w) + GAP;
	}
	const pods = firstNamed(band.pods, services, rootOf).map((pod) => pod.id);
	if (pods.length > 12) y += placeGrid(parent, pods, x, y, w, 'chip') + GAP;
	else if (pods.length) y += placeGrid(parent, pods, x, y, Math.min(w, 470), 'alone') + GAP;
	return Math.max(top, y - GAP);
}

function placeBlock(parent, object, x, y, w) {
	const key = [parent, w, total > 260].join();
	let block = blocks.get(object.id);
	if (block?.key !== key) {
		const all = places;
		places = new Map();
		placeFrame(parent, object, 0, 0, w, w < 380 || object.kind === 'CronJob' ? 64 : 42);
		block = { key, places };
		blocks.set(object.id, block);
		places = all;
	}
	for (const [id, place] of block.places) places.set(id, place);
	const place = { ...block.places.get(object.id), x, y };
	places.set(object.id, place);
	return place.h;
}

function placeFrame(parent, { id, kind }, x, y, w, head) {
	const place = { parent, form: 'frame', x, y, w, h: 0 };
	places.set(id, place);
	const inside = [...childrenOf(id)].map((child) => objects.get(child)).filter(Boolean);
	const pods = inside.filter((child) => child.kind === 'Pod').map((pod) => pod.id);
	const newest = (a, b) => fact(b, 'revision') - fact(a, 'revision') || byName(b, a);
	const others = inside.filter((child) => child.kind !== 'Pod').sort(newest);
	const isOld = (child) => child.kind === 'ReplicaSet' && !(child.wanted > 0) && !childrenOf(child.id).size;
	const inner = w - 2 * PAD;
	let at = head + placeParts(id, others.filter((child) => !isOld(child)), inner, head, kind === 'CronJob');
	if (pods.length) {
		place.pods = formOf(id, pods.length);
		if (place.pods === 'dot') at = placeDots(place, id, pods, inner, head);
		else at += placeGrid(id, pods, PAD, at + PAD / 2, inner, place.pods) + 1.5 * PAD;
	}
	at += placeOlds(id, others.filter(isOld), inner, at);
	place.tall = head > 42;
	place.h = Math.max(at, head + 2);
	return place.h;
}

// placeParts puts ReplicaSets below one another, Jobs of a CronJob side by side.
function placeParts(id, list, inner, top, aside) {
	const across = aside ? Math.max(1, Math.floor((inner + PAD) / 210)) : 1;
	const w = Math.floor((inner + PAD) / across) - PAD;
	let y = top;
	for (let i = 0; i < list.length; i += across) {
		y += PAD + Math.max(...list.slice(i, i + across).map((frame, n) => placeFrame(id, frame, PAD + n * (w + PAD), y, w, 34)));
	}
	return y - top;
}

// placeOlds: the revisions that hold nothing any more, small.
function placeOlds(parent, olds, inner, top) {
	const w = 140;
	const across = Math.max(1, Math.floor((inner + 8) / (w + 8)));
	const list = olds.slice(0, across * 2);
	list.forEach(({ id }, i) => {
		places.set(id, { parent, form: 'small', x: PAD + (i % across) * (w + 8), y: top + Math.floor(i / across) * 38, w, h: 30 });
	});
	return Math.ceil(list.length / across) * 40;
}

// formOf is how large pods are drawn. It keeps to the last form for a while,
// so that one pod more or less does not turn all over.
function formOf(id, count) {
	const over = (limit, form) => count > (forms.get(id) === form ? limit * 0.8 : limit);
	let form = 'box';
	if (over(60, 'dot') || (total > 260 && over(8, 'dot'))) form = 'dot';
	else if (over(12, 'chip') || total > 260) form = 'chip';
	forms.set(id, form);
	return form;
}

function placeGrid(parent, ids, x, y, inner, form) {
	const { w, most, h } = PODS[form];
	const across = inner <= 300 && parent.startsWith('Job/') ? 1 : Math.max(1, Math.floor((inner + PAD) / (w + PAD)));
	const wide = Math.min(across > 1 || inner > 300 ? most : 260, Math.floor((inner + PAD) / across) - PAD);
	ids.forEach((id, i) => places.set(id, {
		parent, form: form === 'alone' ? 'box' : form, row: x,
		x: x + (i % across) * (wide + PAD), y: y + Math.floor(i / across) * (h + LANE), w: wide, h,
	}));
	return Math.ceil(ids.length / across) * (h + LANE) - LANE;
}

// placeDots gives each pod a square that stays where it is; one that is gone
// leaves a hole, which a new one takes, or else the last. With room they stand
// beside the head, to keep a large picture low.
function placeDots(frame, id, ids, inner, head) {
	const aside = frame.aside = head < 42 && inner > 440 ? 140 : 0;
	const top = aside ? 9 : head;
	const across = Math.max(1, Math.floor((inner - aside) / DOT));
	const now = new Set(ids);
	const taken = new Map([...(slots.get(id) || [])].filter(([pod]) => now.has(pod)));
	slots.set(id, taken);
	const used = new Set(taken.values());
	let free = 0;
	for (const pod of ids) {
		if (taken.get(pod) < ids.length) continue;
		while (used.has(free)) free++;
		used.add(free);
		taken.set(pod, free);
	}
	for (const [pod, slot] of taken) {
		places.set(pod, { parent: id, form: 'dot', x: PAD + aside + (slot % across) * DOT, y: top + Math.floor(slot / across) * DOT, w: 16, h: 16 });
	}
	return Math.max(head, top + Math.ceil(ids.length / across) * DOT + (aside ? 5 : PAD));
}

// nameLines is how many lines a name takes, broken at its hyphens: 3 at most.
export function nameLines(name, w) {
	let lines = 1, at = 0;
	for (const { length } of name.split(/(?<=-)/)) {
		at += length;
		if (at * 9.7 > w - 28) { lines += at > length ? 1 : 2; at = length; }
	}
	return Math.min(3, lines);
}

function itemHeight(object, w, facts) {
	return 40 + 20 * nameLines(object.name, w) + 20 * Math.min(facts, object.facts.length);
}

function placeItem(parent, object, x, y, w, facts, h = itemHeight(object, w, facts)) {
	places.set(object.id, { parent, form: 'item', x, y: Math.round(y), w, h, facts });
	return h;
}

function flow(parent, list, x, y, width, least) {
	const across = Math.max(1, Math.floor((width + PAD) / (least + PAD)));
	const w = Math.min(230, Math.floor((width + PAD) / across) - PAD);
	for (let i = 0; i < list.length; i += across) {
		const row = list.slice(i, i + across);
		const facts = (object) => (object.kind === 'Release' ? 3 : 1);
		const h = Math.max(...row.map((object) => itemHeight(object, w, facts(object))));
		row.forEach((object, n) => placeItem(parent, object, x + n * (w + PAD), y, w, facts(object), h));
		y += h + PAD;
	}
	return y - PAD;
}

// alignTo stacks items in a column, each as near as it can be to the middle of
// what it leads to. Items that would overlap become a stack with one middle.
function alignTo(parent, list, column, facts, top) {
	if (!column) return 0;
	const stacks = [];
	for (const object of list) {
		const ys = object.to.map((id) => middle(id, parent)).filter((y) => y !== null);
		const h = itemHeight(object, column.w, facts);
		const last = stacks.at(-1);
		const wish = ys.length ? ys.reduce((a, b) => a + b) / ys.length : last ? last.y + last.h + GAP + h / 2 : top + h / 2;
		stacks.push({ items: [object], h, y: Math.max(top, wish - h / 2), wish });
	}
	stacks.sort((a, b) => a.y - b.y);
	for (let i = 1; i < stacks.length; i++) {
		const [a, b] = [stacks[i - 1], stacks[i]];
		if (a.y + a.h + GAP <= b.y) continue;
		const items = [...a.items, ...b.items];
		const h = a.h + GAP + b.h;
		const wish = (a.wish * a.items.length + b.wish * b.items.length) / items.length;
		stacks.splice(i - 1, 2, { items, h, wish, y: Math.max(top, wish - h / 2) });
		i = Math.max(0, i - 2);
	}
	let bottom = top;
	for (const stack of stacks) {
		let { y } = stack;
		for (const object of stack.items) y += placeItem(parent, object, column.x, y, column.w, facts) + GAP;
		bottom = Math.max(bottom, y - GAP);
	}
	return bottom;
}

// middle is the height of a place's middle, counted from the band.
function middle(id, band) {
	let place = places.get(lineEnd(places, id));
	if (!place) return null;
	let y = place.h / 2;
	for (; place; place = place.parent === band ? null : places.get(place.parent)) y += place.y;
	return y;
}

function links() {
	const found = new Map();
	let rail = 0;
	for (const [from, place] of places) {
		const object = objects.get(from);
		if (place.form !== 'item' || !['Ingress', 'Service'].includes(object.kind)) continue;
		for (const id of object.to) {
			const to = lineEnd(places, id);
			if (to) found.set(from + '>' + to, { from, to, rail: rail % 4 });
		}
		rail++;
	}
	return found;
}

// lineEnd is where a line to an object ends: pods that are squares share the
// one to their frame.
export function lineEnd(all, id) {
	const place = all.get(id);
	return place ? (place.form === 'dot' ? place.parent : id) : '';
}
