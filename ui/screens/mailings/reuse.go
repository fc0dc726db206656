package mailings

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"postroom/compose"
	"postroom/post"
	"postroom/practice"
	"postroom/storage"
)

// importable are the files that a message can be taken from.
var importable = []string{".md", ".markdown", ".html", ".htm", ".txt", ".eml"}

// maxImport is how large such a text may be, in bytes.
const maxImport = 5 << 20

// ImportMessage reads a message from a file: words, and the pictures that they
// show. removed is what was taken out of its HTML.
func ImportMessage(ctx context.Context, l *storage.Ledger, path string) (c post.Content, removed []string, err error) {
	ext := strings.ToLower(filepath.Ext(path))
	if ext == ".eml" {
		return importMail(ctx, l, path)
	}
	switch ext {
	case ".md", ".markdown":
		c.Format = post.FormatMarkdown
	case ".html", ".htm":
		c.Format = post.FormatHTML
	case ".txt":
		c.Format = post.FormatText
	default:
		return c, nil, notImportable(path, nil)
	}
	f, err := os.Open(path)
	if err != nil {
		return c, nil, notImportable(path, err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	b, err := io.ReadAll(io.LimitReader(f, maxImport+1))
	if err != nil || len(b) > maxImport || !utf8.Valid(b) {
		return c, nil, notImportable(path, err)
	}
	c.Body = strings.ReplaceAll(strings.TrimPrefix(string(b), "\ufeff"), "\r\n", "\n")
	if c.Format == post.FormatHTML {
		if c.Body, removed, err = compose.CleanHTML(c.Body); err != nil {
			return c, removed, err
		}
	}
	c.Body, c.Attachments, err = compose.TakePictures(c.Body, c.Format, filepath.Dir(path))
	return c, removed, err
}

func notImportable(path string, err error) error {
	return &post.Error{
		Kind: post.KindInvalid, Op: "import the message", Message: "the file cannot be used", Err: err,
		Reason: post.Reason{Key: "composer.import.wrong", Args: []string{filepath.Base(path)}},
	}
}

// importMail takes the words and pictures of a message that was saved as .eml.
func importMail(ctx context.Context, l *storage.Ledger, path string) (c post.Content, removed []string, err error) {
	m, err := practice.Read(path)
	if err != nil {
		return c, nil, err
	}
	c.Subject = plainTags(m.Subject)
	if m.HTML == "" {
		c.Format, c.Body = post.FormatText, plainTags(m.Text)
		return c, nil, nil
	}
	c.Format = post.FormatHTML
	if c.Body, removed, err = compose.CleanHTML(plainTags(m.HTML)); err != nil {
		return c, removed, err
	}
	n := 0
	for cid, in := range m.Inline {
		if !strings.Contains(c.Body, "cid:"+cid) {
			continue
		}
		n++
		sum, size, err := l.Put(ctx, bytes.NewReader(in.Data))
		if err != nil {
			return c, removed, err
		}
		_, ext, _ := strings.Cut(in.Type, "/")
		name := "picture" + strconv.Itoa(n)
		c.Body = strings.ReplaceAll(c.Body, "cid:"+cid, "cid:"+name+"@postroom")
		c.Attachments = append(c.Attachments, post.Attachment{Name: compose.CleanFileName(name + "." + ext), SHA256: sum, Size: size, Type: in.Type, CID: name + "@postroom"})
	}
	return c, removed, nil
}

// plainTags keeps what looks like a merge tag in a message from elsewhere from
// being one.
func plainTags(s string) string { return strings.ReplaceAll(s, "{{", "{ {") }

// ExportMailing writes a draft as a folder that "postroom send" can take: the
// message, the people as a sheet, the files, and the command in words. The folder
// must not be there yet.
func ExportMailing(ctx context.Context, l *storage.Ledger, d post.Draft, folder string) error {
	if err := os.Mkdir(folder, 0o700); err != nil {
		return &post.Error{Kind: post.KindInvalid, Op: "export the mailing", Message: "the folder cannot be made", Err: err, Reason: post.Reason{Key: "composer.export.folder", Args: []string{filepath.Base(folder)}}}
	}
	args := []string{"postroom send"}
	senders, err := sendersOf(ctx, l, d)
	if err != nil {
		return err
	}
	var names []string
	for _, s := range senders {
		a, err := l.Account(ctx, s.Account)
		if err != nil {
			return err
		}
		names = append(names, a.Name)
	}
	add := func(flag, value string) {
		if value != "" {
			args = append(args, flag+" "+shellWord(value))
		}
	}
	add("--account", strings.Join(names, ","))
	if len(d.Lists) > 0 || len(d.To) > 0 || d.Rows != "" {
		if err := exportPeople(ctx, l, d, filepath.Join(folder, "people.csv")); err != nil {
			return err
		}
		add("--rows", "people.csv")
	}
	add("--subject", d.Content.Subject)
	body := "message" + map[post.BodyFormat]string{post.FormatMarkdown: ".md", post.FormatHTML: ".html", post.FormatText: ".txt"}[d.Content.Format]
	text := d.Content.Body
	for _, a := range d.Content.Attachments {
		name := compose.CleanFileName(a.Name)
		if a.CID != "" {
			text = strings.ReplaceAll(text, "cid:"+a.CID, "attachments/"+name)
		} else {
			add("--attach", "attachments/"+name)
		}
		if err := exportFile(l, a, filepath.Join(folder, "attachments"), name); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(folder, body), []byte(text), 0o600); err != nil {
		return err
	}
	add("--body", body)
	add("--preview-text", d.Content.Preview)
	add("--reply-to", d.Content.ReplyTo)
	add("--design", d.Look)
	add("--attach-column", d.Content.AttachColumn)
	add("--attach-root", d.Content.AttachRoot)
	add("--attach-column-as", d.Content.AttachAs)
	if d.Promotional {
		args = append(args, "--promotional")
	}
	return os.WriteFile(filepath.Join(folder, "send.txt"), []byte(strings.Join(args, " \\\n  ")+"\n"), 0o600)
}

// shellWord is a word as the shell reads it.
func shellWord(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func exportFile(l *storage.Ledger, a post.Attachment, folder, name string) (err error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	var r io.ReadCloser
	if a.SHA256 != "" {
		r, err = l.Open(a.SHA256)
	} else {
		r, err = os.Open(a.Path)
	}
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // it was only read
	w, err := os.OpenFile(filepath.Join(folder, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close())
}

// exportPeople writes the recipients with all their fields.
func exportPeople(ctx context.Context, l *storage.Ledger, d post.Draft, path string) (err error) {
	who, err := recipientsOf(ctx, l, d, nil)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := csv.NewWriter(f)
	fields := make([]string, 0, len(who.fields))
	for _, x := range who.fields {
		if x != "name" && x != "email" {
			fields = append(fields, x)
		}
	}
	if err := w.Write(append([]string{"email", "name"}, fields...)); err != nil {
		return err
	}
	n := 0
	for r, err := range who.rows() {
		if err != nil {
			return fmt.Errorf("export people: %w", err)
		}
		if n++; n%1000 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		row := []string{r.Address, r.Name}
		for _, x := range fields {
			row = append(row, r.Fields[x])
		}
		if err := w.Write(row); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}
