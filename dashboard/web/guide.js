// A guide: blocks of Markdown, as the server has read them. A text is only
// ever set as text, and a link leads to nothing but the web.
import { el, command } from './dom.js';
import { t } from './texts.js';

export function drawBlocks(blocks) { return blocks.map((block) => drawn[block.kind](block)); }

const drawn = {
	heading: ({ level, spans }) => el(level > 2 ? 'h5' : 'h4', drawSpans(spans)),
	paragraph: ({ spans }) => el('p', drawSpans(spans)),
	code: ({ text }) => command(text),
	list: ({ ordered, start = 0, items }) => el(ordered ? 'ol' : 'ul', { start: ordered && String(start) }, items.map((item) => el('li', drawBlocks(item)))),
	quote: ({ blocks }) => el('blockquote', drawBlocks(blocks)),
	table: ({ rows: [head, ...rows] }) => el('table',
		el('thead', el('tr', head.map((cell) => el('th', { scope: 'col' }, drawSpans(cell))))),
		el('tbody', rows.map((row) => el('tr', row.map((cell) => el('td', drawSpans(cell))))))),
	rule: () => el('hr'),
};

function drawSpans(spans = []) {
	return spans.map(({ kind, text, url }) => {
		switch (kind) {
		case 'code': case 'strong': return el(kind, text);
		case 'emphasis': return el('em', text);
		case 'link': return link(url, text || url);
		case 'image': return link(url, t('image', text || url)); // which the page may not load
		case 'break': return el('br');
		}
		return text;
	});
}

function link(url, text) {
	return /^https?:[/]{2}/.test(url) ? el('a', { href: url, target: '_blank', rel: 'noopener noreferrer' }, text) : text;
}
