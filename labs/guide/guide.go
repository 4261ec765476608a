// Package guide reads what a step of a course tells its reader: Markdown, as blocks that a terminal and a page can show. Nothing in
// it is ever HTML or acts on a terminal, whoever wrote it, and what it becomes is not much larger than it is.
package guide

import (
	"bytes"
	"strings"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"

	"github.com/hellolab/hellolab/messages"
)

// Kinds of blocks, and which fields each has.
const (
	Heading   = "heading"   // Spans
	Paragraph = "paragraph" // Spans
	Code      = "code"      // Text, Language
	List      = "list"      // Items, Ordered, Start
	Quote     = "quote"     // Blocks
	Table     = "table"     // Rows
	Rule      = "rule"
)

// Block is a part of a guide that begins on a line of its own.
type Block struct {
	Kind string `json:"kind"`
	// Level of a heading: 1 to 6.
	Level int `json:"level,omitempty"`
	// Spans are the text of a heading or of a paragraph.
	Spans []Span `json:"spans,omitempty"`
	// Text is code: lines without the last one's end. Language is what its fence says: "yaml", or "".
	Text     string `json:"text,omitempty"`
	Language string `json:"language,omitempty"`
	// Items of a list; where it is ordered, the first is number Start.
	Items   [][]Block `json:"items,omitempty"`
	Ordered bool      `json:"ordered,omitempty"`
	Start   int       `json:"start,omitempty"`
	// Blocks are what is quoted.
	Blocks []Block `json:"blocks,omitempty"`
	// Rows of a table, all with the same number of cells; the first is its header.
	Rows [][]Cell `json:"rows,omitempty"`
}

// Cell is the text of a cell of a table.
type Cell []Span

// Kinds of spans. All but a break have a text, and Link and Image a URL.
const (
	Text     = "text"
	CodeSpan = "code"
	Strong   = "strong"
	Emphasis = "emphasis"
	Link     = "link"
	Image    = "image"
	Break    = "break" // the end of a line that the author wants there
)

// Span is a piece of a line, in one style. It has no ends of lines.
type Span struct {
	Kind string `json:"kind"`
	Text string `json:"text,omitempty"`
	// URL begins with http:// or https://; all others are left out, and their text is text.
	URL string `json:"url,omitempty"`
}

// Parse reads Markdown: CommonMark without HTML and references, with the tables of GitHub. There is no text that it refuses; what
// is there to wear out who reads it, it returns as a block of code.
func Parse(markdown string) []Block {
	markdown = messages.Clean(markdown)
	if wearsOut(markdown) {
		return []Block{{Kind: Code, Text: strings.TrimSpace(markdown)}}
	}
	source := []byte(markdown)
	return reader{source}.blocks(markdownParser().Parse(text.NewReader(source)), 0)
}

// mostSigns is how many signs of Markdown may stand between two empty lines: some parts of the parser take the square of that.
const mostSigns = 1000

func wearsOut(markdown string) bool {
	signs := 0
	for line := range strings.Lines(markdown) {
		if strings.TrimSpace(line) == "" {
			signs = 0
		}
		for _, sign := range []string{"*", "_", "[", "!", ">", "`", "("} {
			signs += strings.Count(line, sign)
		}
		if signs > mostSigns {
			return true
		}
	}
	return false
}

// markdownParser leaves out what makes HTML of a text, <none> among it, and references, through which a short text can become a long one.
func markdownParser() parser.Parser {
	return parser.NewParser(
		parser.WithBlockParsers(
			util.Prioritized(parser.NewSetextHeadingParser(), 100), util.Prioritized(parser.NewThematicBreakParser(), 200),
			util.Prioritized(parser.NewListParser(), 300), util.Prioritized(parser.NewListItemParser(), 400),
			util.Prioritized(parser.NewCodeBlockParser(), 500), util.Prioritized(parser.NewATXHeadingParser(), 600),
			util.Prioritized(parser.NewFencedCodeBlockParser(), 700), util.Prioritized(parser.NewBlockquoteParser(), 800),
			util.Prioritized(parser.NewParagraphParser(), 1000)),
		parser.WithInlineParsers(
			util.Prioritized(parser.NewCodeSpanParser(), 100), util.Prioritized(parser.NewLinkParser(), 200),
			util.Prioritized(parser.NewEmphasisParser(), 500)),
		parser.WithParagraphTransformers(util.Prioritized(narrowTables{extension.NewTableParagraphTransformer()}, 200)),
		parser.WithASTTransformers(util.Prioritized(extension.NewTableASTTransformer(), 0)),
	)
}

// narrowTables makes tables of paragraphs, unless they have very many columns, which every row would get.
type narrowTables struct{ parser.ParagraphTransformer }

const mostColumns = 20

func (n narrowTables) Transform(paragraph *ast.Paragraph, reader text.Reader, context parser.Context) {
	for _, line := range paragraph.Lines().Sliced(0, paragraph.Lines().Len()) {
		if bytes.Count(line.Value(reader.Source()), []byte("|")) > mostColumns+1 {
			return
		}
	}
	n.ParagraphTransformer.Transform(paragraph, reader, context)
}
