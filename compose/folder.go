package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"postroom/post"
)

// A mailing as a folder: the words in message.md (or .html, .txt), the files in
// attachments/, and the rest in mailing.json, so that it can be kept, edited
// with any editor, and sent again. Nobody's data is in it.

// folderFile is the file of a folder that says the rest.
const folderFile = "mailing.json"

// textFile is that of a text alternative that the user wrote.
const textFile = "text-version.txt"

// folderContent is what mailing.json holds.
type folderContent struct {
	Subject      string         `json:"subject"`
	Preview      string         `json:"preview,omitempty"`
	Body         string         `json:"body"`           // a file's name
	Text         string         `json:"text,omitempty"` // that of the text alternative, where the user wrote it
	ReplyTo      string         `json:"reply_to,omitempty"`
	DSN          post.DSN       `json:"dsn,omitempty"`
	ReadReceipt  bool           `json:"read_receipt,omitempty"`
	Priority     post.Priority  `json:"priority,omitempty"`
	Promotional  bool           `json:"promotional,omitempty"`
	Design       *post.Design   `json:"design,omitempty"`
	Fields       []string       `json:"fields,omitempty"` // that the words use, for those who read it
	Attachments  []folderAttach `json:"attachments,omitempty"`
	AttachColumn string         `json:"attach_column,omitempty"`
	AttachAs     string         `json:"attach_as,omitempty"`
}

type folderAttach struct {
	File string `json:"file"` // below attachments/
	Name string `json:"name"` // in the message
	CID  string `json:"cid,omitempty"`
}

var bodyFiles = map[post.BodyFormat]string{post.FormatMarkdown: "message.md", "": "message.md", post.FormatHTML: "message.html", post.FormatText: "message.txt"}

// ExportFolder writes a mailing's content into dir, which must not be there yet.
// What it leaves behind after an error is removed.
func ExportFolder(ctx context.Context, content post.Content, blobs Blobs, dir string) (err error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return folderError(dir, err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return folderError(dir, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	out := folderContent{
		Subject: content.Subject, Preview: content.Preview, Body: bodyFiles[content.Format], ReplyTo: content.ReplyTo, DSN: content.DSN,
		ReadReceipt: content.ReadReceipt, Priority: content.Priority,
		Promotional: content.Promotion != nil, Design: content.Design, AttachColumn: content.AttachColumn, AttachAs: content.AttachAs,
	}
	if content.Text != "" && content.Format != post.FormatText {
		out.Text = textFile
	}
	m, err := Compile(ctx, content, nil, Options{NoAttachments: true})
	if err != nil {
		return err
	}
	for _, f := range m.Fields() {
		out.Fields = append(out.Fields, f.Name)
	}
	if err := os.WriteFile(filepath.Join(dir, out.Body), []byte(content.Body), 0o600); err != nil {
		return folderError(dir, err)
	}
	if out.Text != "" {
		if err := os.WriteFile(filepath.Join(dir, out.Text), []byte(content.Text), 0o600); err != nil {
			return folderError(dir, err)
		}
	}
	for i, a := range content.Attachments {
		name, _ := protect(a.Name)
		file := strconv.Itoa(i+1) + "-" + CleanFileName(name)
		if err := copyOut(ctx, a, blobs, filepath.Join(dir, "attachments", file)); err != nil {
			return err
		}
		out.Attachments = append(out.Attachments, folderAttach{File: file, Name: a.Name, CID: a.CID})
	}
	b, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return folderError(dir, err)
	}
	return folderError(dir, os.WriteFile(filepath.Join(dir, folderFile), append(b, '\n'), 0o600))
}

func folderError(dir string, err error) error {
	if err == nil {
		return nil
	}
	kind := post.KindInvalid
	if errors.Is(err, os.ErrNotExist) {
		kind = post.KindNotFound
	}
	if errors.Is(err, os.ErrExist) {
		kind = post.KindConflict
	}
	return &post.Error{Kind: kind, Op: "use the folder", Message: "the folder " + dir + " cannot be used", Err: plainPath(err)}
}

// copyOut writes an attachment's content to a file.
func copyOut(ctx context.Context, a post.Attachment, blobs Blobs, to string) (err error) {
	if err := ctx.Err(); err != nil {
		return &post.Error{Kind: post.KindCancelled, Op: "write the folder", Err: err}
	}
	r, err := openAttachment(a, blobs)
	if err != nil {
		return freezeError(a.Name, err)
	}
	defer r.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return folderError(to, err)
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return folderError(to, err)
	}
	_, err = io.Copy(f, r)
	return folderError(to, errors.Join(err, f.Close()))
}

// Imported is a content that was read from elsewhere.
type Imported struct {
	Content     post.Content
	Promotional bool     // it is to be marked so, under the sender's letterhead
	Removed     []string // what CleanHTML took out
}

// maxBody bounds a body that is read from a file, in bytes.
const maxBody = maxSource

// ImportFolder reads what ExportFolder wrote, or somebody by hand. Files are
// taken from below the folder only.
func ImportFolder(dir string) (Imported, error) {
	var in Imported
	root, err := os.OpenRoot(dir)
	if err != nil {
		return in, folderError(dir, err)
	}
	defer root.Close()
	b, err := readIn(root, folderFile)
	if err != nil {
		return in, folderError(dir, err)
	}
	var f folderContent
	if err := json.Unmarshal(b, &f); err != nil {
		return in, &post.Error{Kind: post.KindInvalid, Op: "use the folder", Message: folderFile + " cannot be read", Err: err}
	}
	c := post.Content{
		Subject: f.Subject, Preview: f.Preview, ReplyTo: f.ReplyTo, DSN: f.DSN, ReadReceipt: f.ReadReceipt, Priority: f.Priority, Design: f.Design, AttachColumn: f.AttachColumn, AttachAs: f.AttachAs,
	}
	for format, name := range bodyFiles {
		if filepath.Ext(name) == strings.ToLower(filepath.Ext(f.Body)) && format != "" {
			c.Format = format
		}
	}
	if c.Format == "" {
		return in, post.Errorf(post.KindInvalid, "use the folder", "the body %q must be a file that ends in .md, .html or .txt", f.Body)
	}
	if b, err = readIn(root, filepath.FromSlash(f.Body)); err != nil {
		return in, folderError(dir, err)
	}
	if c.Body = strings.TrimPrefix(string(b), "\ufeff"); !utf8.ValidString(c.Body) {
		return in, post.Errorf(post.KindInvalid, "use the folder", "%s is not in UTF-8", f.Body)
	}
	if f.Text != "" && c.Format != post.FormatText {
		if b, err = readIn(root, filepath.FromSlash(f.Text)); err != nil {
			return in, folderError(dir, err)
		}
		if c.Text = strings.TrimPrefix(string(b), "\ufeff"); !utf8.ValidString(c.Text) {
			return in, post.Errorf(post.KindInvalid, "use the folder", "%s is not in UTF-8", f.Text)
		}
	}
	for _, a := range f.Attachments {
		name := filepath.Join("attachments", filepath.FromSlash(a.File))
		file, err := openIn(root.Stat, root.Open, name)
		if err != nil {
			return in, unusable(a.File, err)
		}
		if err := file.Close(); err != nil {
			return in, unusable(a.File, err)
		}
		c.Attachments = append(c.Attachments, post.Attachment{Name: a.Name, Path: filepath.Join(dir, name), CID: a.CID})
	}
	in.Promotional = f.Promotional
	in.Content, in.Removed, err = Tidy(c, dir)
	return in, err
}

func readIn(root *os.Root, name string) ([]byte, error) {
	f, err := openIn(root.Stat, root.Open, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxBody+1))
	if err == nil && len(b) > maxBody {
		err = fmt.Errorf("%s is longer than %d MB", name, maxBody>>20)
	}
	return b, err
}

// Tidy cleans an HTML body and takes its pictures from the folder beside it.
func Tidy(c post.Content, folder string) (post.Content, []string, error) {
	var removed []string
	var err error
	if c.Format == post.FormatHTML {
		if c.Body, removed, err = CleanHTML(c.Body); err != nil {
			return c, nil, err
		}
	}
	var pictures []post.Attachment
	if c.Body, pictures, err = TakePictures(c.Body, c.Format, folder); err != nil {
		return c, nil, err
	}
	c.Attachments = append(pictures, c.Attachments...)
	return c, removed, nil
}
