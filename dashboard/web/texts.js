// The texts of the page. They come from the server; the few that are needed
// when the server cannot be asked are kept here.
const own = {
	en: {
		lostTitle: 'The connection is lost',
		lost: 'hellolab does not answer. If it still runs, the page goes on by itself. If not, start it again, and open the address that it prints:',
		tokenTitle: 'This address is not complete',
		token: 'Its key is missing or too old. Start the dashboard, and open the address that it prints:',
	},
	zh: {
		lostTitle: '连接已断开',
		lost: 'hellolab 没有响应。如果它还在运行，恢复后页面会自动继续；如果已经结束，请重新启动它，并打开它打印的地址：',
		tokenTitle: '网址不完整',
		token: '网址末尾缺少密钥，或者密钥已经失效。启动 dashboard，再打开它显示的网址：',
		copy: '复制',
		copied: '已复制',
	},
};

export const STATES = ['ready', 'waiting', 'failing', 'done', 'going', 'idle'];
let lang = 'en';
let texts = own.en;

export function language() { return lang; }

export function setLanguage(next) {
	lang = next === 'zh' ? 'zh' : 'en';
	texts = own[lang];
	document.documentElement.lang = lang === 'zh' ? 'zh-CN' : 'en';
}

export function setTexts(answer) { texts = { ...own[lang], ...answer }; }

// t gives the text of a key, each %s replaced by the next value.
export function t(key, ...values) { return find(key, key).replace(/%s/g, () => String(values.shift() ?? '')); }

function find(key, otherwise) { return String(Object.hasOwn(texts, key) ? texts[key] : otherwise); }

export function word(key) { return find('fact.' + key, key); }

// factText: a time is the reader's own, and has its day if that is another.
export function factText([name, value]) {
	if (name !== 'last' && name !== 'next') return value;
	const date = new Date(value);
	const today = date.toDateString() === new Date().toDateString();
	return date.toLocaleString(lang, { hour: '2-digit', minute: '2-digit', hour12: false, ...(today ? {} : { month: 'short', day: 'numeric' }) });
}

export function kindWord(kind) { return find('kind.' + kind, kind); }

export function stateWord(state) { return t('state.' + state); }

// sayCount is short: "3 ready, 1 waiting".
export function sayCount(objects) {
	return STATES.map((state) => [state, objects.filter((object) => object.state === state).length])
		.filter(([, count]) => count).map(([state, count]) => t('count.' + state, count)).join(t('comma'));
}
