// Small helpers to make elements. A text is only ever set as text.
import { t } from './texts.js';

export function byId(id) { return document.getElementById(id); }

export function calm() { return matchMedia('(prefers-reduced-motion: reduce)').matches; }

// el makes an element of 'tag.class', with properties (may be left out) and
// children. on... are listeners, all other properties are attributes.
export function el(what, ...children) {
	const [tag, ...classes] = what.split('.');
	const made = document.createElement(tag);
	if (classes.length) made.className = classes.join(' ');
	if (tag === 'button') made.type = 'button';
	if (children[0]?.constructor === Object) {
		for (const [name, value] of Object.entries(children.shift())) {
			if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
			else if (value || value === '') made.setAttribute(name, value === true ? '' : value);
		}
	}
	for (const child of children.flat(2)) if (child || child === 0) made.append(child.nodeType ? child : shown(child));
	return made;
}

export function svg(tag, attributes) {
	const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
	for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
	return made;
}

export function icon(name, state = name) {
	const made = svg('svg', { class: 'icon s-' + state, viewBox: '0 0 16 16', 'aria-hidden': 'true' });
	made.append(svg('use', { href: '#i-' + name }));
	return made;
}

// shown makes characters visible that would otherwise turn the reading order
// around or hide something: bidirectional marks, zero-width and control ones.
export function shown(text) {
	return String(text ?? '').replace(/\r/g, '').replace(/[\0-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
		(c) => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'));
}

// write and attr touch the page only if something is different.
export function write(element, text) {
	const next = shown(text);
	if (element.textContent !== next) element.textContent = next;
}

export function attr(element, name, value) {
	if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

export function button(text, onclick, properties) { return el('button', { onclick, ...properties }, text); }

export function copyButton(text) {
	const made = button(t('copy'), async () => {
		await navigator.clipboard.writeText(typeof text === 'function' ? text() : text);
		write(made, t('copied'));
		announce(t('copied'));
		setTimeout(() => write(made, t('copy')), 1500);
	}, { class: 'copy' });
	return made;
}

export function command(text) { return el('div.command', el('pre', el('code', text)), copyButton(text)); }

// swap puts in other content, if it is other; the focus stays, by data-key.
export function swap(at, ...content) {
	const next = at.cloneNode(false);
	next.append(...content);
	if (at.isEqualNode(next)) return;
	const key = at.contains(document.activeElement) && document.activeElement.dataset.key;
	at.replaceChildren(...next.childNodes);
	if (key) at.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
}

export function announce(text) {
	byId('said').textContent = '';
	byId('said').textContent = text;
}
