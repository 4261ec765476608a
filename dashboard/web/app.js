// The start of the page, the stream, what is shown where.
import { el, icon, button, command, write, swap, byId, announce } from './dom.js';
import { t, STATES, language, setLanguage, setTexts } from './texts.js';
import { takeKey, ask, listen } from './stream.js';
import { take, objects, namespaces } from './store.js';
import { startPicture, update, showOnly, repaint, travel } from './picture.js';
import { startCourse, setCourse, setCheck, redrawCourse, stepLine, firstCommand } from './course.js';
import { startList, drawList, listOnly, redrawList } from './list.js';
import { openObject, closeObject, touchDrawer, redrawDrawer, openApply } from './drawer.js';

const page = { view: 'picture' };   // also: course, lab, lost, refused, ready, theme, end
const has = { course: false };      // what the server has sent: course, objects
const phone = matchMedia('(max-width: 760px)');
const dark = matchMedia('(prefers-color-scheme: dark)');
const kept = { get: (name) => localStorage.getItem('hellolab.' + name), set: (name, value) => localStorage.setItem('hellolab.' + name, value) };

function start() {
	setLanguage(kept.get('lang') || (navigator.language.startsWith('zh') ? 'zh' : 'en'));
	const key = takeKey();
	page.course = kept.get('course') !== 'closed';
	setTheme(kept.get('theme') || 'auto');
	startPicture(openObject);
	startCourse(apply);
	startList(openObject);
	listenToPage();
	enter(key);
}

async function enter(key) {
	if (await key) connect();
	else refused();
}

// connect asks for texts and stream at once; the events wait for the texts.
async function connect() {
	page.end?.();
	page.refused = false;
	let waiting = [];
	page.end = listen({ event: (...event) => (waiting ? waiting.push(event) : onEvent(...event)), lost, refused, found });
	await loadTexts();
	if (page.refused) return;
	drawTexts();
	for (const event of waiting) onEvent(...event);
	waiting = null;
}

async function loadTexts() {
	for (let delay = 200; !page.refused; delay = Math.min(2000, delay * 2)) {
		try {
			setTexts((await ask('/api/texts')).texts);
			return;
		} catch (error) {
			if (error.status === 401) { refused(); return; }
			lost();
			await new Promise((wake) => setTimeout(wake, delay));
		}
	}
}

function onEvent(name, value) {
	if (name === 'lab') setLab(value);
	else if (name === 'objects') onObjects(value);
	else if (name === 'course') {
		setCourse(value);
		if (!has.course) { has.course = true; drawViews(); }
	} else if (name === 'check') setCheck(value);
	else if (name === 'traffic') {
		if (value.text) {
			byId('traffic').className = value.ok ? 'ok' : 'bad';
			write(byId('traffic'), (value.ok ? '→ ' : '✕ ') + value.text);
		}
		travel(value);
	}
}

function onObjects(value) {
	const news = take(value);
	has.objects = true;
	update(news);
	drawList();
	touchDrawer(news.changed);
	drawNamespaces();
	drawEmpty();
}

function setLab(value) {
	page.lab = value;
	write(byId('lab-name'), document.title = value.name || 'hellolab');
	if (value.state !== 'ready') announce(value.text || t('lab.' + value.state));
	drawState();
}

function found() { page.lost = false; drawState(); }

function lost() {
	if (!page.lost) announce(t('lostTitle'));
	page.lost = true;
	drawState();
}

function refused() {
	page.refused = true;
	announce(t('tokenTitle'));
	drawState();
}

function drawState() {
	const { lab } = page;
	const again = [lab?.again || 'hellolab dashboard'];
	const said = page.refused ? [t('tokenTitle'), t('token'), again]
		: page.lost ? [t('lostTitle'), t('lost'), again]
			: lab && lab.state !== 'ready' && [t('lab.' + lab.state), lab.text, lab.next || []];
	const state = byId('lab-state');
	state.hidden = page.refused || (!lab && !page.lost);
	write(state, page.lost ? t('lostTitle') : t('labIs.' + lab?.state));
	state.className = 'pill s-' + (!said ? 'ready' : !page.lost && ['paused', 'stopped'].includes(lab?.state) ? 'idle' : 'failing');
	byId('banner').hidden = !said;
	document.body.classList.toggle('stale', Boolean(said));
	if (said) swap(byId('banner'), el('h2', { id: 'banner-title' }, said[0]), el('p', said[1]), ...said[2].map(command));
	drawEmpty();
}

function drawEmpty() {
	const box = byId('empty');
	box.hidden = objects.size > 0 || !has.objects || page.lost || page.lab?.state !== 'ready';
	const line = firstCommand();
	if (!box.hidden) swap(box, el('h3', t('emptyTitle')), el('p', t('empty')), line ? command(line) : '');
}

function drawTexts() {
	page.ready = true;
	for (const id of ['tools', 'views', 'foot']) byId(id).hidden = false;
	for (const [id, key] of [['picture-title', 'picture'], ['list-title', 'list'], ['filter-label', 'filter'], ['apply', 'applyYaml']]) write(byId(id), t(key));
	for (const [id, key] of [['stage', 'picture'], ['views', 'views'], ['keys', 'keys'], ['namespace', 'head.namespace']]) byId(id).setAttribute('aria-label', t(key));
	for (const view of byId('views').children) write(view, t('view.' + view.dataset.view));
	byId('lang').lang = language() === 'zh' ? 'en' : 'zh-CN';
	write(byId('lang'), language() === 'zh' ? 'English' : '中文');
	write(byId('theme'), t('theme.' + page.theme));
	drawState();
	drawViews();
	byId('namespace').replaceChildren();
	drawNamespaces();
}

// On a phone one view is seen at a time; elsewhere the course stands beside.
function drawViews() {
	const narrow = phone.matches;
	if (!narrow && page.view === 'course') page.view = 'picture';
	const course = has.course && (narrow ? page.view === 'course' : page.course);
	byId('picture').hidden = page.view !== 'picture';
	byId('list').hidden = page.view !== 'list';
	byId('main').hidden = narrow && course;
	byId('course').hidden = !course;
	document.body.classList.toggle('with-course', course);
	for (const view of byId('views').children) {
		const aside = view.dataset.view === 'course' && !narrow;
		view.ariaExpanded = aside ? String(course) : null;
		view.ariaCurrent = !aside && view.dataset.view === page.view ? 'page' : null;
	}
	drawList();
}

function setView(name) {
	if (name === 'course' && !phone.matches) {
		page.course = !page.course;
		kept.set('course', page.course ? 'open' : 'closed');
	} else page.view = name;
	if (phone.matches) closeObject();
	drawViews();
}

function drawNamespaces() {
	const select = byId('namespace');
	const names = ['', ...namespaces()];
	if (names.length === select.options.length && names.every((name, i) => select.options[i].value === name)) return;
	const before = select.value;
	select.replaceChildren(...names.map((name) => el('option', { value: name }, name || t('allNamespaces'))));
	select.value = names.includes(before) ? before : '';
	select.hidden = names.length < 3;
	if (select.value !== before) choose();
}

function choose() {
	showOnly(byId('namespace').value);
	listOnly(byId('namespace').value);
}

function setTheme(name) {
	page.theme = name;
	document.documentElement.dataset.theme = name === 'auto' ? (dark.matches ? 'dark' : 'light') : name;
}

function apply(yaml) { openApply(yaml, page.lab?.apply); }

async function changeLanguage() {
	setLanguage(language() === 'zh' ? 'en' : 'zh');
	kept.set('lang', language());
	await connect();
	repaint();
	redrawList();
	redrawCourse();
	redrawDrawer();
}

function listenToPage() {
	const click = (id, act) => byId(id).addEventListener('click', act);
	for (const view of byId('views').children) view.addEventListener('click', () => setView(view.dataset.view));
	byId('namespace').addEventListener('change', choose);
	click('apply', () => apply(''));
	click('lang', changeLanguage);
	click('keys', showKeys);
	click('theme', () => {
		const order = ['auto', 'light', 'dark'];
		setTheme(order[(order.indexOf(page.theme) + 1) % 3]);
		kept.set('theme', page.theme);
		write(byId('theme'), t('theme.' + page.theme));
	});
	click('step-line', () => {
		closeObject();
		if (phone.matches || !page.course) setView('course');
	});
	document.addEventListener('course', () => { stepLine(byId('step-line')); drawEmpty(); });
	document.addEventListener('keydown', onKey);
	// another address in the same tab does not load the page again
	addEventListener('hashchange', () => { if (/token=|code=/.test(location.hash)) enter(takeKey()); });
	phone.addEventListener('change', drawViews);
	dark.addEventListener('change', () => setTheme(page.theme));
}

function onKey(event) {
	if (byId('dialog').open || event.ctrlKey || event.metaKey || event.altKey || !page.ready) return;
	const writing = event.target.closest?.('input, textarea, select');
	if (event.key === 'Escape' && !writing?.value) closeObject();
	if (writing) return;
	if (event.key === '?') showKeys();
	if (event.key !== '/') return;
	event.preventDefault();
	setView('list');
	byId('filter').focus();
}

function showKeys() {
	const dialog = byId('dialog');
	const rows = { Tab: 'tab', '← ↑ → ↓': 'arrows', Enter: 'enter', Esc: 'escape', '/': 'filter', '?': 'help' };
	dialog.replaceChildren(el('h2', { id: 'dialog-title' }, t('keys')),
		el('dl', Object.entries(rows).map(([key, text]) => [el('dt', el('kbd', key)), el('dd', t('key.' + text))])),
		el('h3', t('states')),
		el('ul.legend', STATES.map((state) => el('li', icon(state), t('state.' + state)))),
		el('div.buttons', button(t('close'), () => dialog.close())));
	dialog.showModal();
}

start();
