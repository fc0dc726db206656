package mailings

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"postroom/compose"
	"postroom/post"
	"postroom/storage"
)

// importable are the files that a message can be taken from.
var importable = []string{".md", ".markdown", ".html", ".htm", ".txt", ".eml", ".json"}

// exportedFile is the file of an exported folder by which it is picked.
const exportedFile = "mailing.json"

// maxImport is how large a file with a message may be, in bytes.
const maxImport = compose.MaxMessage

// ImportMessage reads a message from a file: a text, a message that was kept, or
// an exported folder by its mailing.json.
func ImportMessage(ctx context.Context, l *storage.Ledger, path string) (in compose.Imported, err error) {
	if filepath.Base(path) == exportedFile {
		return compose.ImportFolder(filepath.Dir(path))
	}
	ext := strings.ToLower(filepath.Ext(path))
	format, known := map[string]post.BodyFormat{
		".md": post.FormatMarkdown, ".markdown": post.FormatMarkdown, ".html": post.FormatHTML, ".htm": post.FormatHTML, ".txt": post.FormatText, ".eml": "",
	}[ext]
	if !known {
		return in, notImportable(path, nil)
	}
	f, err := os.Open(path)
	if err != nil {
		return in, notImportable(path, err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	b, err := io.ReadAll(io.LimitReader(f, maxImport+1))
	if err != nil || len(b) > maxImport {
		return in, notImportable(path, err)
	}
	if ext == ".eml" {
		return compose.ImportEML(ctx, b, l)
	}
	if !utf8.Valid(b) {
		return in, notImportable(path, nil)
	}
	text := strings.ReplaceAll(strings.TrimPrefix(string(b), "\ufeff"), "\r\n", "\n")
	in.Content, in.Removed, err = compose.Tidy(post.Content{Format: format, Body: text}, filepath.Dir(path))
	return in, err
}

func notImportable(path string, err error) error {
	return &post.Error{
		Kind: post.KindInvalid, Op: "import the message", Message: "the file cannot be used", Err: err,
		Reason: post.Reason{Key: "composer.import.wrong", Args: []string{filepath.Base(path)}},
	}
}

// ExportMailing writes a draft as a folder that "postroom send" can take: the
// content as compose writes it, and the people, where there are any, as a sheet.
// The folder must not be there yet.
func ExportMailing(ctx context.Context, l *storage.Ledger, d post.Draft, folder string) error {
	senders, err := sendersOf(ctx, l, d)
	if err != nil {
		return err
	}
	var from post.Sender
	if len(senders) > 0 {
		from = senders[0]
	}
	dressed, err := lookOf(ctx, l, d, from)
	if err != nil {
		return err
	}
	if len(dressed.logo) > 0 {
		logo, err := freezeLogo(ctx, l, dressed.logo)
		if err != nil {
			return err
		}
		dressed.content.Attachments = append(slices.Clone(dressed.content.Attachments), logo)
	}
	if err := compose.ExportFolder(ctx, dressed.content, l, folder); err != nil {
		return &post.Error{Kind: post.KindInvalid, Op: "export the mailing", Message: "the folder cannot be made", Err: err, Reason: post.Reason{Key: "composer.export.folder", Args: []string{filepath.Base(folder)}}}
	}
	if len(d.Lists) == 0 && len(d.To) == 0 && d.Rows == "" {
		return nil
	}
	return exportPeople(ctx, l, d, filepath.Join(folder, "people.csv"))
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
