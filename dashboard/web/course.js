// The course beside the picture: steps, what is checked, the guide.
import { el, icon, button, command, copyButton, swap, byId, announce } from './dom.js';
import { drawBlocks } from './guide.js';
import { t } from './texts.js';
import { ask } from './stream.js';

const parts = {};
const open = new Map();   // what was opened or closed by hand
let course = null, check = null, guide = null;
let applyFile;

export function startCourse(onApply) {
	applyFile = onApply;
	for (const name of ['top', 'steps', 'now', 'guide']) byId('course').append(parts[name] = el('div.course-' + name));
}

export function setCourse(value) {
	const other = course?.step !== value.step;
	course = value;
	if (other) {
		check = guide = null;
		parts.guide.replaceChildren();
		askGuide(course.step);
	}
	drawSteps();
	drawNow();
}

export function setCheck(value) {
	const said = sayCheck(value);
	if (check && said !== sayCheck(check)) announce(said);
	check = value;
	drawNow();
}

export function redrawCourse() {
	if (course) askGuide(course.step);
}

export function firstCommand() { return guide?.commands?.[0]; }

const rowsOf = (value) => value.rows || [];

function summary(value) {
	return value.passed ? t('stepPassed') : t('checkCount', rowsOf(value).filter((row) => row.met).length, rowsOf(value).length);
}

function sayCheck(value) { return titleOf(value.step) + t('colon') + summary(value); }

function allSteps() { return course.chapters.flatMap((chapter) => chapter.steps); }

function titleOf(id) { return (course && allSteps().find((step) => step.id === id)?.title) || id; }

async function askGuide(step) {
	if (!step) return;
	try {
		const answer = await ask('/api/guide', { query: { step } });
		if (course.step === step) drawGuide(answer);
	} catch (error) {
		if (course.step === step) parts.guide.replaceChildren(el('p.problem', error.message));
	}
	document.dispatchEvent(new Event('course'));
}

async function goTo(step) {
	try {
		await ask('/api/step', { body: { step } });
	} catch (error) {
		parts.now.prepend(el('p.problem', { role: 'alert' }, error.message));
	}
}

function drawSteps() {
	const steps = allSteps();
	const at = steps.findIndex((step) => step.id === course.step);
	const passed = t('stepsPassed', steps.filter((step) => step.passed).length, steps.length);
	const here = course.chapters.find((chapter) => chapter.steps.includes(steps[at]));
	const turn = (to, sign, name) => el('button.turn', { 'data-key': sign, 'aria-label': t(name), disabled: !steps[to], onclick: () => goTo(steps[to].id) }, sign);
	swap(parts.top,
		el('h2', { id: 'course-title' }, course.title), el('p.note', passed),
		el('progress', { max: steps.length || 1, value: String(steps.filter((step) => step.passed).length), 'aria-label': passed }));
	swap(parts.steps,
		fold('all', !here, 'all', [t('allSteps')], el('ol', course.chapters.map((chapter) => drawChapter(chapter, chapter === here)))),
		el('div.stepper', turn(at - 1, '‹', 'stepBefore'), el('span', `${here?.title || ''} · ${at + 1}/${steps.length}`), turn(at + 1, '›', 'stepNext')));
}

// fold can be opened; it stays as the reader has left it.
function fold(key, isOpen, name, summary, ...content) {
	const made = el('details.' + name, el('summary', summary), content);
	made.open = open.get(key) ?? isOpen;
	made.addEventListener('toggle', () => open.set(key, made.open));
	return made;
}

function drawChapter({ id, title, steps }, here) {
	const count = el('span.count', `${steps.filter((step) => step.passed).length}/${steps.length}`);
	return el('li', fold(id + here, here, 'chapter', [title, count], el('ol', steps.map((step) => el('li', drawStep(step))))));
}

function drawStep({ id, title, passed, by, installed }) {
	return el('button.step', { 'data-key': id, 'aria-current': id === course.step && 'step', onclick: () => goTo(id) },
		icon(passed ? 'ready' : 'open'), el('span', title), el('span.heard', t('comma') + t(passed ? 'passed' : 'notPassed')),
		passed && by === 'snapshot' && el('span.note', t('bySnapshot')),
		installed && el('span.note', t('installed.' + installed)));
}

function drawNow() {
	const now = check?.step === course?.step && check;
	parts.now.classList.toggle('passed', Boolean(now?.passed));
	swap(parts.now, ...(course?.step ? [
		el('h3', titleOf(course.step)),
		el('p.verdict', icon(now?.passed ? 'ready' : 'open'), now ? summary(now) : t('checking')),
		el('ul', now ? rowsOf(now).map(drawRow) : [])] : [el('p', t('chooseStep'))]));
	document.dispatchEvent(new Event('course'));
}

function drawRow({ subject, met, expected, have, why, next }) {
	return el('li.row',
		icon(met ? 'ready' : 'open'),
		el('div', el(met ? 'p' : 'p.subject', subject, el('span.heard', t('comma') + t(met ? 'met' : 'notMet'))), !met && [
			expected && el('p', el('span.note', t('expected')), ' ', expected),
			have && el('p', el('span.note', t('have')), ' ', have),
			why && el('p.cause', why),
			next && command(next)]));
}

function drawGuide(value) {
	guide = value;
	const { files = [], commands = [] } = guide;
	parts.guide.replaceChildren(
		el('h3', t('guide')), ...drawBlocks(guide.look || []),
		...(files.length ? [el('h3', t('files')), ...files.map(drawFile)] : []),
		...(commands.length ? [el('h3', t('byItself')), ...commands.map(command)] : []));
}

function drawFile({ name, content }) {
	return fold(course.step + name, false, 'file', el('code', name),
		el('pre.code', { tabindex: '0' }, el('code', content)),
		el('div.buttons', copyButton(content), name.endsWith('.yaml') && button(t('applyThis'), () => applyFile(content))));
}

export function stepLine(element) {
	element.hidden = !course?.step || check?.step !== course.step;
	if (element.hidden) return;
	element.replaceChildren(...rowsOf(check).map((row) => icon(row.met ? 'ready' : 'open')),
		el('span', sayCheck(check)));
	element.classList.toggle('passed', check.passed);
}
