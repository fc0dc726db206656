package contacts

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// foreign lists beginnings of files that are often given a name in .csv, or
// picked by mistake, with the key of what to say.
var foreign = []struct{ begin, key, message string }{
	{"PK\x03\x04", "contacts.is_workbook", "this is a workbook of another kind or a zip file; save the sheet as XLSX or CSV and import that"},
	{"\xD0\xCF\x11\xE0", "contacts.is_workbook", "this is an old Office file; save the sheet as XLSX or CSV and import that"},
	{"\x89PNG", "contacts.is_image", "this is a picture, not a table"},
	{"\xFF\xD8\xFF", "contacts.is_image", "this is a picture, not a table"},
	{"GIF8", "contacts.is_image", "this is a picture, not a table"},
	{"RIFF", "contacts.is_binary", "this is not a table of text"},
	{"BM", "contacts.is_image", "this is a picture, not a table"},
	{"%PDF-", "contacts.is_pdf", "this is a PDF, not a table; save the table as CSV and import that"},
	{"\x1F\x8B", "contacts.is_archive", "this file is compressed; unpack it first"},
	{"7z\xBC\xAF", "contacts.is_archive", "this file is compressed; unpack it first"},
	{"Rar!", "contacts.is_archive", "this file is compressed; unpack it first"},
	{"SQLite format 3\x00", "contacts.is_binary", "this is a database, not a table of text"},
	{"{\\rtf", "contacts.is_document", "this is a text document, not a table; save the table as CSV and import that"},
	{"\x7FELF", "contacts.is_binary", "this is a program, not a table"},
}

// checkMagic refuses files whose beginning says what they are.
func checkMagic(head []byte) error {
	for _, f := range foreign {
		if !bytes.HasPrefix(head, []byte(f.begin)) {
			continue
		}
		// Two letters prove nothing: a bitmap also has zero bytes near the front.
		if f.begin == "BM" && bytes.IndexByte(head[:min(len(head), 16)], 0) < 0 || f.begin == "RIFF" && bytes.IndexByte(head[:min(len(head), 64)], 0) < 0 {
			continue
		}
		return refuse(f.key, f.message)
	}
	return nil
}

// checkText refuses text that is no table: nothing, a web page, or
// bytes that only pretend to be text.
func checkText(text []byte) error {
	front := strings.TrimLeftFunc(string(text[:min(len(text), 4096)]), isBlank)
	lower := strings.ToLower(front)
	switch {
	case strings.TrimFunc(string(text), isBlank) == "":
		return refuse("contacts.empty_file", "the file is empty")
	case isMarkup(lower):
		return refuse("contacts.is_html", "this is a web page or XML, not a table; save the table as CSV and import that")
	}
	return checkBinary(text)
}

// isMarkup tells "<html" from "<anna@example.com>".
func isMarkup(s string) bool {
	if len(s) < 2 || s[0] != '<' {
		return false
	}
	if c := s[1]; c != '!' && c != '?' && (c < 'a' || c > 'z') {
		return false
	}
	tag, _, closed := strings.Cut(s, ">")
	return closed && !strings.Contains(tag, "@") || strings.HasPrefix(s, "<!doctype") || strings.HasPrefix(s, "<html") || strings.HasPrefix(s, "<?xml")
}

// checkBinary refuses text that is full of control characters. A few are a
// damaged cell, and each costs only its row.
func checkBinary(text []byte) error {
	var all, odd int
	for p := text[:min(len(text), 64<<10)]; len(p) > 0; {
		r, n := utf8.DecodeRune(p)
		p = p[n:]
		all++
		if unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r' {
			odd++
		}
	}
	if odd*10 > all*3 || all >= 512 && odd*10 > all {
		return refuse("contacts.is_binary", "this is not a table of text")
	}
	return nil
}

// isBlank reports white space, also the kinds that nobody sees: they come
// along when cells are copied from web pages.
func isBlank(r rune) bool {
	if r > 0x3000 && r != 0xFEFF { // no space lies behind the ideographic one
		return false
	}
	switch r {
	case 0xFEFF, 0x200B, 0x200C, 0x200D, 0x2060, 0x00AD:
		return true
	}
	return unicode.IsSpace(r)
}
