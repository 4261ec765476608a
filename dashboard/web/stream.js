// Requests to the server, and the stream of its events.
import { language, setLanguage } from './texts.js';

let token = '';

// takeKey reads the key out of the address, or has the server give it for the
// code there, and takes both away from the address bar. It keeps the key for
// this tab, and tells whether there is one.
export async function takeKey() {
	const given = new URLSearchParams(location.hash.slice(1));
	history.replaceState(null, '', location.pathname + location.search);
	if (given.get('lang')) setLanguage(given.get('lang'));
	token = given.get('token') || sessionStorage.getItem('token') || '';
	if (given.get('code')) token = await exchange(given.get('code'));
	sessionStorage.setItem('token', token);
	return Boolean(token);
}

async function exchange(code) {
	try { return (await ask('/api/enter', { body: { code } })).token; } catch { return ''; }
}

export function request(path, { query, body, signal } = {}) {
	return fetch(path + '?' + new URLSearchParams({ ...query, lang: language() }), {
		method: body ? 'POST' : 'GET',
		headers: { Authorization: 'Bearer ' + token, 'Content-Type': 'application/json' },
		body: body && JSON.stringify(body),
		signal,
		cache: 'no-store',
	});
}

// ask gives the JSON of an answer; an error has the server's words.
export async function ask(path, options) {
	const answer = await request(path, options);
	const text = await answer.text();
	let value = null;
	try { value = JSON.parse(text); } catch { /* then it is plain text */ }
	if (answer.ok || value?.ok === false) return value;
	throw Object.assign(new Error(value?.said || text.trim() || answer.statusText), { status: answer.status });
}

// listen opens the stream, and again whenever it ends. It gives a function
// that ends it for good.
export function listen({ event, lost, refused, found }) {
	const ending = new AbortController();
	const { signal } = ending;
	let delay = 200;
	const once = async () => {
		const answer = await request('/api/stream', { signal });
		if (answer.status === 401) { refused(); ending.abort(); }
		if (!answer.ok) throw new Error(answer.statusText);
		found();
		await readEvents(answer, (...got) => { delay = 200; event(...got); });
	};
	const forever = async () => {
		while (!signal.aborted) {
			try { await once(); } catch { /* lost, see below */ }
			if (signal.aborted) return;
			lost();
			await new Promise((wake) => setTimeout(wake, delay));
			delay = Math.min(2000, delay * 2);
		}
	};
	forever();
	return () => ending.abort();
}

async function readEvents(answer, event) {
	let name = '', data = '';
	await readLines(answer, (lines) => {
		for (const line of lines) {
			if (line.startsWith('event:')) name = line.slice(6).trim();
			else if (line.startsWith('data:')) data += line.slice(5);
			else if (!line && data) {
				try { event(name, JSON.parse(data)); } catch (error) { console.error(error); }
				data = '';
			}
		}
	});
}

export async function readLines(answer, take) {
	const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
	let rest = '';
	for (;;) {
		const { done, value = '' } = await reader.read();
		const lines = (rest + value).split('\n');
		rest = lines.pop();
		take(done && rest ? [...lines, rest] : lines);
		if (done) return;
	}
}
