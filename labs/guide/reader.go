package guide

import (
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/yuin/goldmark/ast"
	tables "github.com/yuin/goldmark/extension/ast"

	"github.com/hellolab/hellolab/messages"
)

// deepest is how many lists and quotes may lie in each other: what is deeper is text.
const deepest = 4

// reader turns what the parser has found in a source into blocks.
type reader struct{ source []byte }

// blocks are what lies in a node, which itself lies in depth lists and quotes.
func (r reader) blocks(parent ast.Node, depth int) []Block {
	all := []Block{}
	for node := parent.FirstChild(); node != nil; node = node.NextSibling() {
		if block := r.block(node, depth); block.Kind == Rule || len(block.Spans)+len(block.Text)+len(block.Items)+len(block.Blocks)+len(block.Rows) > 0 {
			all = append(all, block)
		}
	}
	return all
}

func (r reader) block(node ast.Node, depth int) Block {
	switch node := node.(type) {
	case *ast.Heading:
		return Block{Kind: Heading, Level: node.Level, Spans: r.spans(node)}
	case *ast.CodeBlock:
		return Block{Kind: Code, Text: r.lines(node)}
	case *ast.FencedCodeBlock:
		return Block{Kind: Code, Text: r.lines(node), Language: messages.Clean(string(node.Language(r.source)))}
	case *ast.ThematicBreak:
		return Block{Kind: Rule}
	case *tables.Table:
		return Block{Kind: Table, Rows: r.rows(node)}
	case *ast.List:
		if depth < deepest {
			return r.list(node, depth)
		}
	case *ast.Blockquote:
		if depth < deepest {
			return Block{Kind: Quote, Blocks: r.blocks(node, depth+1)}
		}
	}
	return Block{Kind: Paragraph, Spans: r.spans(node)}
}

func (r reader) list(node *ast.List, depth int) Block {
	list := Block{Kind: List, Ordered: node.IsOrdered(), Start: node.Start}
	for item := node.FirstChild(); item != nil; item = item.NextSibling() {
		list.Items = append(list.Items, r.blocks(item, depth+1))
	}
	return list
}

func (r reader) rows(table ast.Node) (all [][]Cell) {
	for row := table.FirstChild(); row != nil; row = row.NextSibling() {
		var cells []Cell
		for cell := row.FirstChild(); cell != nil; cell = cell.NextSibling() {
			cells = append(cells, slices.DeleteFunc(r.spans(cell), func(span Span) bool { return span.Kind == Break }))
		}
		all = append(all, cells)
	}
	return all
}

// lines are those of code, as they are.
func (r reader) lines(node ast.Node) string {
	var all strings.Builder
	for _, line := range node.Lines().Sliced(0, node.Lines().Len()) {
		all.Write(line.Value(r.source))
	}
	return strings.TrimRight(all.String(), "\n")
}

// spans are all text in a block. Addresses that stand in it as they are become links.
func (r reader) spans(block ast.Node) []Span {
	line := &line{}
	r.write(block, Text, line)
	line.end()
	all := []Span{}
	for _, span := range line.spans {
		if span.Kind == Text {
			all = append(all, linked(span.Text)...)
			continue
		}
		all = append(all, span)
	}
	return all
}

// write puts what lies in a node on a line. Style is that of the outermost node which has one.
func (r reader) write(parent ast.Node, style string, line *line) {
	for node := parent.FirstChild(); node != nil; node = node.NextSibling() {
		switch node := node.(type) {
		case *ast.Text:
			line.add(style, plain(string(node.Value(r.source))))
			line.ends(node.SoftLineBreak(), node.HardLineBreak())
		case *ast.CodeSpan:
			line.add(either(style, CodeSpan), r.code(node))
		case *ast.Emphasis:
			r.write(node, either(style, map[int]string{1: Emphasis, 2: Strong}[node.Level]), line)
		case *ast.Link:
			r.writeLink(node, Link, string(node.Destination), style, line)
		case *ast.Image:
			r.writeLink(node, Image, string(node.Destination), style, line)
		case *ast.FencedCodeBlock, *ast.CodeBlock: // in a list that is too deep
			line.add(CodeSpan, spaces(r.lines(node)))
		default:
			r.write(node, style, line)
			if node.Type() == ast.TypeBlock {
				line.ends(true, false)
			}
		}
	}
}

// either is the style of a node in one of a style.
func either(outer, inner string) string {
	if outer == Text {
		return inner
	}
	return outer
}

func (r reader) writeLink(node ast.Node, kind, destination, style string, at *line) {
	address := web(plain(destination))
	if address == "" {
		r.write(node, style, at)
		return
	}
	label := &line{}
	r.write(node, Text, label)
	label.end()
	var text strings.Builder
	for _, span := range label.spans {
		text.WriteString(span.Text)
	}
	at.put(Span{kind, strings.TrimSpace(text.String()), address})
}

// code is what stands between backticks.
func (r reader) code(node ast.Node) string {
	var all strings.Builder
	for child := node.FirstChild(); child != nil; child = child.NextSibling() {
		if text, ok := child.(*ast.Text); ok {
			all.Write(text.Value(r.source))
		}
	}
	return spaces(all.String())
}

// longestAddress is how many bytes a URL may have.
const longestAddress = 2000

// web is the URL of a page or a picture that anybody may be led to, or "".
func web(address string) string {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" || len(address) > longestAddress {
		return ""
	}
	return parsed.String()
}

// bare is a URL in the middle of a text, with or without < and >. In what it leads to is a dot, or it leads to this machine.
var bare = regexp.MustCompile(`<(https?://[^\s<>]+)>|https?://(?:localhost|[[:alnum:]-]+(?:\.[[:alnum:]-]+)+)(?::\d+)?(?:[/?#][[:alnum:]/?#&=%:@~+$_.,;!'*()-]*)?`)

// linked makes links of the URLs in a text.
func linked(text string) (all []Span) {
	from := 0
	for _, at := range bare.FindAllStringSubmatchIndex(text, -1) {
		start, end := at[0], at[1]
		found := strings.TrimRight(text[start:end], ".,:;!?'*()")
		if at[2] >= 0 {
			found = text[at[2]:at[3]]
		} else {
			end = start + len(found)
		}
		if web(found) == "" {
			continue
		}
		if start > from {
			all = append(all, Span{Kind: Text, Text: text[from:start]})
		}
		all = append(all, Span{Link, found, web(found)})
		from = end
	}
	if from < len(text) {
		all = append(all, Span{Kind: Text, Text: text[from:]})
	}
	return all
}

// escaped is what stands for another character in Markdown.
var escaped = regexp.MustCompile("\\\\[!-/:-@\\[-`{-~]|&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")

// plain is a text without what Markdown and HTML have to escape characters. What has been hidden that way is cleaned.
func plain(text string) string {
	return spaces(escaped.ReplaceAllStringFunc(text, func(found string) string {
		if found[0] == '\\' {
			return found[1:]
		}
		return html.UnescapeString(found)
	}))
}

// spaces is a text that is clean and has no ends of lines.
func spaces(text string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("\n\t\u2028\u2029\u00a0", r) {
			return ' '
		}
		return r
	}, messages.Clean(text))
}

// line collects spans, and joins lines of the source.
type line struct {
	spans []Span
	// ended says that a line of the source has ended, which becomes a space where the languages on both sides have spaces.
	ended bool
}

// add puts a text at the end of the line.
func (l *line) add(kind, text string) {
	if text == "" {
		return
	}
	l.join(kind, text)
	if last := len(l.spans) - 1; last >= 0 && l.spans[last].Kind == kind {
		l.spans[last].Text += text
		return
	}
	l.spans = append(l.spans, Span{Kind: kind, Text: text})
}

// put puts a link or an image at the end of the line, which nothing is added to.
func (l *line) put(span Span) {
	l.join("", span.Text)
	l.spans = append(l.spans, span)
}

// join puts a space before what comes next, if it is another line in the source.
func (l *line) join(kind, next string) {
	if !l.ended || len(l.spans) == 0 {
		return
	}
	l.ended = false
	last := &l.spans[len(l.spans)-1]
	switch {
	case last.Kind == Break || tight(last.Text, next):
	case last.Kind == Text || last.Kind == kind:
		last.Text += " "
	default:
		l.spans = append(l.spans, Span{Kind: Text, Text: " "})
	}
}

// ends notes the end of a line of the source, which the author wants to be one or not.
func (l *line) ends(soft, hard bool) {
	l.ended = l.ended || soft
	if hard && len(l.spans) > 0 {
		l.spans, l.ended = append(l.spans, Span{Kind: Break}), false
	}
}

// end removes what would be empty at the end of the line.
func (l *line) end() {
	for last := len(l.spans) - 1; last >= 0 && strings.TrimSpace(l.spans[last].Text) == "" && l.spans[last].URL == ""; last-- {
		l.spans = l.spans[:last]
	}
}

// tight reports whether no space belongs between two texts: Chinese and Japanese have none, and fullwidth signs bring their own.
func tight(before, after string) bool {
	last, _ := utf8.DecodeLastRuneInString(before)
	first, _ := utf8.DecodeRuneInString(after)
	return sign(last) || sign(first) || spaceless(last) && spaceless(first)
}

func spaceless(r rune) bool { return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana) }

// sign reports whether a character is punctuation as wide as a Chinese one.
func sign(r rune) bool { return '\u3000' <= r && r <= '\u303f' || '\uff00' <= r && r <= '\uff65' }
