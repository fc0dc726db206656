package receipts

import (
	"bytes"
	"mime"
	"strings"

	"github.com/emersion/go-message/charset"
)

// fields is one block of header fields, read leniently: any case, folded lines,
// lines that are no field left out. Unlike a library's it never refuses.
type fields []field

type field struct{ name, value string } // the name in lower case

// cutHeader splits at the first empty line.
func cutHeader(b []byte) (head, rest []byte) {
	for at := 0; at < len(b); {
		end := bytes.IndexByte(b[at:], '\n')
		if end < 0 {
			return b, nil
		}
		if len(bytes.Trim(b[at:at+end], " \t\r")) == 0 {
			return b[:at], b[at+end+1:]
		}
		at += end + 1
	}
	return b, nil
}

// readFields reads the block at the beginning of b.
func readFields(b []byte) fields {
	head, _ := cutHeader(b)
	head = head[:min(len(head), maxHeader)]
	var all fields
	for line := range bytes.Lines(head) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
			if n := len(all); n > 0 {
				all[n-1].value += " " + string(bytes.TrimSpace(line))
			}
			continue
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || len(name) == 0 || bytes.ContainsAny(bytes.TrimRight(name, " "), " \t<@") {
			continue
		}
		if len(all) == maxFields {
			break
		}
		all = append(all, field{strings.ToLower(string(bytes.TrimSpace(name))), string(bytes.TrimSpace(value))})
	}
	return all
}

// blocks reads blocks of fields with empty lines between them (RFC 3464 2.1).
func blocks(b []byte) []fields {
	var all []fields
	for len(b) > 0 && len(all) < maxBlocks {
		head, rest := cutHeader(b)
		if f := readFields(head); len(f) > 0 {
			all = append(all, f)
		}
		b = rest
	}
	return all
}

// get returns the first field of a name, in lower case.
func (f fields) get(name string) string {
	for _, x := range f {
		if x.name == name {
			return x.value
		}
	}
	return ""
}

func (f fields) has(name string) bool {
	for _, x := range f {
		if x.name == name {
			return true
		}
	}
	return false
}

var wordDecoder = mime.WordDecoder{CharsetReader: charset.Reader}

// decoded returns a field with its encoded words (RFC 2047) read.
func (f fields) decoded(name string) string {
	v := f.get(name)
	if s, err := wordDecoder.DecodeHeader(v); err == nil {
		return s
	}
	return v
}
