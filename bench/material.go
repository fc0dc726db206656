//go:build linux

package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// The letter is about 5 KB on the wire, as text and HTML together, and names its reader three times: first name, town
// and customer number stand in it once each.
const (
	subject   = "News for our customers"
	paragraph = "Your order has left our shop this morning, and the carrier says that it will be with you within two days; " +
		"if nobody is in, it goes to the nearest shop, and a card in your letter box tells which one that is."
	paragraphs = 10
)

func letter() (text, html string) {
	var t, h strings.Builder
	t.WriteString("Dear {{first_name}},\n\n")
	h.WriteString("<!DOCTYPE html>\n<html>\n<body>\n<p>Dear {{first_name}},</p>\n")
	for i := range paragraphs {
		if i == paragraphs/2 {
			t.WriteString("We send it to {{town}}.\n\n")
			h.WriteString("<p>We send it to <b>{{town}}</b>.</p>\n")
		}
		t.WriteString(fold(paragraph) + "\n\n")
		h.WriteString("<p>" + fold(paragraph) + "</p>\n")
	}
	t.WriteString("Your customer number is {{number}}.\n")
	h.WriteString("<p>Your customer number is {{number}}.</p>\n</body>\n</html>\n")
	return t.String(), h.String()
}

// fold breaks lines as a person's editor does.
func fold(s string) string {
	var b strings.Builder
	width := 0
	for word := range strings.FieldsSeq(s) {
		switch {
		case width == 0:
		case width+1+len(word) > 70:
			b.WriteByte('\n')
			width = 0
		default:
			b.WriteByte(' ')
			width++
		}
		b.WriteString(word)
		width += len(word)
	}
	return b.String()
}

// material writes what a sender reads into a new folder below dir and returns it and the people file. r chooses the
// people's values; attach is the size of the attachment, 0 for none.
func material(dir string, people, attach int, r *rand.Rand) (folder, file string, err error) {
	folder, err = os.MkdirTemp(dir, "sender-")
	if err != nil {
		return "", "", err
	}
	text, html := letter()
	for name, content := range map[string]string{"subject.txt": subject, "letter.txt": text, "letter.html": html} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			return "", "", err
		}
	}
	if attach > 0 {
		b := make([]byte, attach)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		if err := os.WriteFile(filepath.Join(folder, "attachment.bin"), b, 0o600); err != nil {
			return "", "", err
		}
	}
	file = filepath.Join(folder, "people.tsv")
	return folder, file, writePeople(file, people, r)
}

func writePeople(file string, people int, r *rand.Rand) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	for i := range people {
		fmt.Fprintf(w, "customer%d@example.net\tCustomer %d\tName%d\tTown%d\t%d\n", i, i, r.IntN(1e6), r.IntN(1e6), i)
	}
	if err := w.Flush(); err != nil {
		_ = f.Close() // the first error is the one to tell
		return err
	}
	return f.Close()
}
