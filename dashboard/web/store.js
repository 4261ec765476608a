// What the lab holds: the objects, and who owns whom.
import { STATES } from './texts.js';

export const objects = new Map();
const children = new Map();
const none = new Set();

export function rankOf({ kind }) { return (KINDS.indexOf(kind) + 99) % 99; }

export const FRAMES = new Set(['Deployment', 'ReplicaSet', 'StatefulSet', 'DaemonSet', 'CronJob', 'Job']);
export const KINDS = ['Ingress', 'Service', 'Deployment', 'StatefulSet', 'DaemonSet', 'CronJob', 'Job', 'ReplicaSet', 'Pod',
	'ConfigMap', 'Secret', 'PersistentVolumeClaim', 'Release', 'ResourceQuota', 'Namespace', 'Node'];

export function childrenOf(id) { return children.get(id) || none; }

// take puts an event into the store and tells what has changed. moved has the
// ids whose place in the picture may be another one now.
export function take({ reset, set = [], gone = [] }) {
	const news = { reset: Boolean(reset), changed: new Set(), moved: new Set() };
	const note = (id, owner, moved) => {
		for (const one of owner ? [id, owner] : [id]) {
			news.changed.add(one);
			if (moved) news.moved.add(one);
		}
	};
	if (reset) {
		const kept = new Set(set.map((object) => object.id));
		gone = [...objects.keys()].filter((id) => !kept.has(id));
	}
	for (const id of gone) {
		const old = objects.get(id);
		if (!old) continue;
		note(id, old.owner, true);
		objects.delete(id);
		children.get(old.owner)?.delete(id);
	}
	for (const given of set) {
		const object = { namespace: '', owner: '', text: '', ...given, to: given.to || [], facts: given.facts || [] };
		if (!STATES.includes(object.state)) object.state = 'idle';
		const { id, owner } = object;
		const old = objects.get(id);
		objects.set(id, object);
		note(id, owner, !old || shapeOf(old) !== shapeOf(object));
		if (old && old.owner !== owner) {
			note(id, old.owner, true);
			children.get(old.owner)?.delete(id);
		}
		if (!children.has(owner)) children.set(owner, new Set());
		children.get(owner).add(id);
	}
	children.delete('');
	return news;
}

// shapeOf is all that the layout reads of an object.
function shapeOf(object) { return [object.owner, object.to, object.wanted > 0, fact(object, 'revision'), object.facts.length].join('|'); }

export function fact(object, key) { return String(object.facts.find(([name]) => name === key)?.[1] ?? ''); }

// imageTag is what comes after the colon: v3 of guangzhengli/hellok8s:v3.
export function imageTag(object) { return fact(object, 'image').split('@')[0].split('/').at(-1).split(':').at(-1); }

// shortName leaves out what the owner's name says already.
export function shortName({ owner, name }) {
	const start = objects.get(owner)?.name + '-';
	return name.startsWith(start) ? name.slice(start.length) : name;
}

export function podsOf(id) {
	return [...childrenOf(id)].flatMap((child) => (objects.get(child)?.kind === 'Pod' ? objects.get(child) : podsOf(child)));
}

export function countOf(object) { return object.wanted === undefined ? '' : `${object.ready ?? 0}/${object.wanted}`; }

const { compare } = new Intl.Collator('en', { numeric: true });
export function byName(a, b) { return compare(a.name, b.name) || (a.id < b.id ? -1 : 1); }

export function namespaces() {
	const found = new Set([...objects.values()].map(({ kind, name, namespace }) => (kind === 'Namespace' ? name : namespace)));
	found.delete('');
	return [...found].sort((a, b) => (b === 'default') - (a === 'default') || (a < b ? -1 : 1));
}
