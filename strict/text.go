package strict

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/hellolab/hellolab/messages"
)

// The sizes of files in bytes. A limit is for what the aliases in a file stand for as well.
const (
	// Written bounds what a person writes. Kubernetes takes no object of more than 3 MiB.
	Written = 4 << 20
	// Saved bounds what a program has written.
	Saved = 128 << 20
)

const (
	mark8, littleEndian, bigEndian = "\xef\xbb\xbf", "\xff\xfe", "\xfe\xff"
)

// Plain is the content of a text file in UTF-8, without a byte order mark, and with \n alone at the ends of its lines,
// where an editor of Windows' has written it in another way.
func Plain(content []byte) []byte {
	switch {
	case bytes.HasPrefix(content, []byte(littleEndian)):
		content = fromUTF16(content[2:], binary.LittleEndian)
	case bytes.HasPrefix(content, []byte(bigEndian)):
		content = fromUTF16(content[2:], binary.BigEndian)
	case len(content) > 1 && content[0] != 0 && content[1] == 0: // YAML begins with an ASCII character
		content = fromUTF16(content, binary.LittleEndian)
	case len(content) > 1 && content[0] == 0 && content[1] != 0:
		content = fromUTF16(content, binary.BigEndian)
	}
	content = bytes.TrimPrefix(content, []byte(mark8))
	return bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n"))
}

func fromUTF16(content []byte, order binary.ByteOrder) []byte {
	units := make([]uint16, 0, len(content)/2)
	for ; len(content) > 1; content = content[2:] {
		units = append(units, order.Uint16(content))
	}
	return []byte(string(utf16.Decode(units)))
}

// readable refuses a plain text that is too long or in another encoding, which only its author can tell.
func readable(file string, content []byte, most int) error {
	if len(content) > most {
		return tooLarge(file, most)
	}
	for number, line := range bytes.Split(content, []byte("\n")) {
		if utf8.Valid(line) {
			continue
		}
		// a text of another encoding is mostly none in this one
		if meant, err := simplifiedchinese.GB18030.NewDecoder().Bytes(line); err == nil && !bytes.ContainsRune(meant, utf8.RuneError) {
			return messages.Usagef("%s, line %v: this is GBK (%q), not UTF-8", file, number+1, strings.TrimSpace(string(meant))).
				WithHint("save the file as UTF-8: most editors offer that encoding under “Save as”")
		}
		return messages.Usagef("%s, line %v: this is not UTF-8", file, number+1).
			WithHint("save the file as UTF-8: most editors offer that encoding under “Save as”")
	}
	return nil
}

func tooLarge(file string, most int) error {
	return messages.Usagef("%s is too large: with what its aliases stand for, a file like this may have %v MiB", file, most>>20).
		WithHint("split the file, or shorten what its aliases (*NAME) repeat")
}
