// One object, chosen: what it is, why it is so, what can be done, its logs.
import { el, icon, button, command, copyButton, swap, write, byId, announce } from './dom.js';
import { t, word, stateWord, sayCount, factText } from './texts.js';
import { ask, request, readLines } from './stream.js';
import { objects, childrenOf, shortName, byName } from './store.js';

const MOST_LINES = 2000;
const now = { id: '', tab: 'about', answer: null, back: null, logs: null, timer: 0 };

export function openObject(id) {
	if (!now.id) now.back = document.activeElement;
	endLogs();
	Object.assign(now, { id, tab: 'about', answer: null });
	byId('drawer').hidden = false;
	document.body.classList.add('drawer-open');
	draw();
	byId('drawer-title').focus();
	load();
}

export function closeObject() {
	if (!now.id) return;
	endLogs();
	const { id, back } = now;
	now.id = '';
	byId('drawer').hidden = true;
	byId('drawer').replaceChildren();
	document.body.classList.remove('drawer-open');
	(back?.isConnected ? back : document.querySelector(`#main [data-id="${CSS.escape(id)}"]`))?.focus({ preventScroll: true });
}

export function touchDrawer(changed) {
	if (!now.id || !changed.has(now.id)) return;
	drawHead();
	drawParts();
	now.timer ||= setTimeout(() => { now.timer = 0; load(); }, 600);
}

export function redrawDrawer() { if (now.id) { draw(); load(); } }

async function load(uncover) {
	const { id } = now;
	if (!objects.has(id)) return;
	const open = uncover || now.answer?.open;
	try {
		const answer = await ask('/api/object', { query: open ? { id, uncover: '1' } : { id } });
		if (now.id !== id) return;
		const first = !now.answer;
		now.answer = { ...answer, open };
		byId('drawer-problem').textContent = '';
		if (first) drawTabs();
		fill(first || uncover);
	} catch (error) {
		if (now.id === id && objects.has(id)) write(byId('drawer-problem'), error.message);
	}
}

function draw() {
	byId('drawer').replaceChildren(
		el('div.drawer-top',
			el('div', el('p.kind', { id: 'drawer-kind' }), el('h2', { id: 'drawer-title', tabindex: '-1' })),
			button('×', closeObject, { class: 'close', 'aria-label': t('close') })),
		el('p', { id: 'drawer-state' }),
		el('p.problem', { id: 'drawer-problem' }),
		el('div', { id: 'drawer-tabs', role: 'tablist', 'aria-labelledby': 'drawer-title' }),
		el('div', { id: 'drawer-panel', role: 'tabpanel' }));
	drawHead();
	drawTabs();
	fill(true);
}

function drawHead() {
	const object = objects.get(now.id);
	const state = object?.state || 'going';
	if (object) {
		write(byId('drawer-kind'), [object.kind, object.namespace].filter(Boolean).join(' · '));
		write(byId('drawer-title'), object.name);
	}
	const words = object ? [...new Set([stateWord(state), object.text])].filter(Boolean).join(' – ') : t('goneNow');
	byId('drawer-state').className = 'state-line s-' + state;
	byId('drawer-state').replaceChildren(icon(state), el('span', words));
}

function tabs() {
	return now.answer?.containers?.length || objects.get(now.id)?.kind === 'Pod' ? ['about', 'logs', 'yaml'] : ['about', 'yaml'];
}

function drawTabs() {
	byId('drawer-tabs').replaceChildren(...tabs().map((name) => button(t('tab.' + name), () => choose(name), {
		role: 'tab', id: 'tab-' + name, 'aria-selected': String(name === now.tab), 'aria-controls': 'drawer-panel',
		tabindex: name === now.tab ? '0' : '-1', onkeydown: turn,
	})));
	byId('drawer-panel').setAttribute('aria-labelledby', 'tab-' + now.tab);
}

function turn({ key }) {
	const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
	const names = tabs();
	if (step) choose(names.at((names.indexOf(now.tab) + step) % names.length));
}

function choose(name) {
	endLogs();
	now.tab = name;
	drawTabs();
	fill(true);
	byId('tab-' + name).focus();
}

// fill draws the chosen tab; what somebody is at work on stays as it is.
function fill(anew) {
	const panel = byId('drawer-panel');
	if (now.tab === 'logs') { if (anew) drawLogs(panel); return; }
	if (now.tab === 'yaml') { if (anew || !panel.querySelector('textarea')) drawYaml(panel); return; }
	if (anew) panel.replaceChildren(...['why', 'actions', 'facts', 'parts', 'events'].map((name) => el('div', { id: 'about-' + name })));
	const { why = [], events = [] } = now.answer || {};
	const facts = objects.get(now.id)?.facts || [];
	section('why', why.map((cause) => el('div.cause', el('p', cause.text), cause.next && command(cause.next))));
	section('facts', facts.length ? [el('dl', facts.map((fact) => [el('dt', word(fact[0])), el('dd', factText(fact))]))] : []);
	section('events', events.length ? [el('ul.events', events.map(drawEvent))] : []);
	drawParts();
	if (!byId('about-actions').querySelector('form, .result')) drawActions();
}

function section(name, content) {
	swap(byId('about-' + name), ...(content.length ? [el('h3', t(name)), ...content] : []));
}

// drawParts: also the way to the pods that are only squares in the picture.
function drawParts() {
	const at = byId('about-parts');
	if (!at) return;
	const known = (ids) => [...ids].map((id) => objects.get(id)).filter(Boolean);
	const own = known(childrenOf(now.id)).sort(byName);
	const leads = known(objects.get(now.id)?.to || []);
	swap(at,
		...(own.length ? [el('h3', t('inside')), el('p.note', sayCount(own)), objectList(own)] : []),
		...(leads.length ? [el('h3', t('leadsTo')), objectList(leads)] : []));
}

function objectList(list) {
	return el('ul.objects', list.map((object) => el('li',
		el('button.s-' + object.state, { 'data-key': object.id, onclick: () => openObject(object.id) },
			icon(object.state), el('span', (object.kind === 'Pod' ? '' : object.kind + ' ') + shortName(object)), el('span.heard', t('comma') + stateWord(object.state)), el('span.note', object.text)))));
}

function drawEvent({ at, kind, reason, text, count }) {
	const date = new Date(at);
	const time = Number.isNaN(date.getTime()) ? '' : date.toLocaleTimeString([], { hour12: false });
	const bad = kind === 'Warning';
	return el(bad ? 'li.s-failing' : 'li',
		el('p', bad && icon('failing'), el('strong', reason), el('span.note', [time, count > 1 && t('times', count)].filter(Boolean).join(' · '))),
		el('p', text));
}

function drawActions() {
	const actions = (now.answer?.actions || []).filter((action) => action.name !== 'apply');
	const room = el('div', { id: 'action-room' });
	section('actions', actions.length ? [
		el('div.buttons', actions.map((action) => button(action.label, () => openAction(action, room), { class: action.danger && 'danger' }))), room] : []);
}

function openAction(action, room) {
	const { id } = now;
	const values = {};
	const code = el('code');
	const show = () => write(code, action.command.replace(/\{(\w+)\}/g, (all, name) => (Object.hasOwn(values, name) ? values[name] : all)));
	const fields = (action.fields || []).map(({ name, value, options }) => {
		values[name] = String(value ?? '');
		const oninput = (event) => { values[name] = event.target.value; show(); };
		if (!options) return el('label', word(name), el('input', { type: 'number', min: '0', value: values[name], oninput }));
		return el('fieldset', el('legend', word(name)), options.map((one) => el('label',
			el('input', { type: 'radio', name, value: one.value, checked: one.value === value, oninput }), el('strong', one.value), one.text)));
	});
	show();
	const form = actionForm({ fields, code, danger: action.danger, text: action.label, run: () => act({ id, name: action.name, fields: values }), end: drawActions });
	room.replaceChildren(form);
	(form.querySelector(':checked') || form.querySelector('input') || form.querySelector('.go')).focus();
}

// actionForm: fields, the command, a button. What is dangerous is asked once
// more; end closes it.
function actionForm({ fields, code, danger, text, run, end }) {
	const room = el('div');
	const go = el('button.go', { type: 'submit', class: danger ? 'go danger' : 'go' }, text);
	let sure = !danger;
	const send = async (event) => {
		event.preventDefault();
		if (!sure) {
			sure = true;
			write(go, t('sure', text));
			announce(t('sureHint'));
			return;
		}
		go.disabled = true;
		const answer = await run();
		go.disabled = false;
		sure = !danger;
		write(go, text);
		if (answer.ok) load();
		if (answer.ok && end === drawActions) end();
		(room.isConnected ? room : byId('action-room'))?.replaceChildren(resultOf(answer));
	};
	return el('form.action', { onsubmit: send }, fields, el('p.word', t('willRun')),
		el('div.command', el('pre', code), copyButton(() => code.textContent)),
		el('div.buttons', go, button(t('cancel'), end)), room);
}

async function act(body) {
	try {
		return await ask('/api/act', { body });
	} catch (error) {
		return { ok: false, said: error.message };
	}
}

function resultOf({ ok, command: line, said }) {
	const words = t(ok ? 'doneWell' : 'doneBadly');
	announce(words);
	return el('div.result.s-' + (ok ? 'ready' : 'failing'),
		el('p.verdict', icon(ok ? 'ready' : 'failing'), words),
		said && el('pre.said', said), line && el('p.word', t('wasRun')), line && command(line));
}

function drawYaml(panel) {
	const { answer } = now;
	if (!answer) { panel.replaceChildren(el('p', t('loading'))); return; }
	const apply = (answer.actions || []).find((action) => action.name === 'apply');
	swap(panel,
		el('div.buttons', copyButton(answer.yaml),
			answer.covered && button(t('uncover'), () => load(true)),
			apply && !answer.covered && button(t('edit'), () => editYaml(panel, answer, apply))),
		el('p.note', answer.covered ? t('covered') : ''),
		el('pre.code', { tabindex: '0' }, el('code', answer.yaml)));
}

function editYaml(panel, { yaml }, action) {
	panel.replaceChildren(yamlForm(now.id, yaml, action.command, action.label, () => drawYaml(panel)));
	panel.querySelector('textarea').focus();
}

function yamlForm(id, yaml, line, text, end) {
	const field = el('textarea', { spellcheck: 'false', rows: '16', wrap: 'off' });
	field.value = yaml;
	return actionForm({
		fields: [el('label.wide', 'YAML', field)], code: el('code', line), text, end,
		run: () => act({ id, name: 'apply', fields: { yaml: field.value } }),
	});
}

export function openApply(yaml, line = 'hellolab kubectl apply -f -') {
	const dialog = byId('dialog');
	dialog.replaceChildren(el('h2', { id: 'dialog-title' }, t('applyYaml')), yamlForm('', yaml, line, t('apply'), () => dialog.close()));
	dialog.showModal();
	dialog.querySelector('textarea').focus();
}

function endLogs() { now.logs?.abort(); now.logs = null; }

function drawLogs(panel) {
	endLogs();
	const containers = now.answer?.containers || [];
	if (!containers.length) { panel.replaceChildren(el('p', t(now.answer ? 'noContainers' : 'loading'))); return; }
	const lines = el('div.logs', { tabindex: '0', role: 'log', 'aria-live': 'off', 'aria-label': t('tab.logs') });
	const note = el('p.note');
	const choice = el('select', { onchange: () => follow(choice.value, lines, note) }, containers.map((name) => el('option', { value: name }, name)));
	panel.replaceChildren(el('div.buttons', el('label', t('container'), choice), copyButton(() => lines.innerText)), lines, note);
	follow(choice.value, lines, note);
}

async function follow(container, lines, note) {
	endLogs();
	const { signal } = now.logs = new AbortController();
	lines.replaceChildren();
	write(note, t('logsLive'));
	try {
		const answer = await request('/api/logs', { query: { id: now.id, container }, signal });
		if (!answer.ok) throw new Error((await answer.text()).trim() || answer.statusText);
		await readLines(answer, gather(lines));
		write(note, t('logsEnd'));
	} catch (error) {
		if (!signal.aborted) write(note, `${t('logsEnd')} ${error.message}`);
	}
}

// gather adds lines once a frame; of a flood only the last are made at all.
function gather(lines) {
	let waiting = [];
	const show = () => {
		const atEnd = lines.scrollTop + lines.clientHeight >= lines.scrollHeight - 30;
		lines.append(...waiting.slice(-MOST_LINES).map((text) => el('div', text.replace(/\u001b\[[0-9;?]*[A-Za-z]/g, '') || ' ')));
		waiting = [];
		while (lines.childElementCount > MOST_LINES) lines.firstChild.remove();
		if (atEnd) lines.scrollTop = lines.scrollHeight;
	};
	return (more) => {
		if (!waiting.length && more.length) requestAnimationFrame(show);
		waiting = waiting.concat(more).slice(-MOST_LINES);
	};
}
