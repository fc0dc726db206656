package compose

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"postroom/post"
)

// Freezer keeps the content of files, so that what is sent later is what was
// picked, whatever becomes of the file.
type Freezer interface {
	// Put stores what r gives, durably, and returns its SHA-256 in lower-case
	// hex and its size in bytes.
	Put(ctx context.Context, r io.Reader) (sha256 string, size int64, err error)
}

// sizedFile is an open regular file.
type sizedFile struct {
	*os.File
	size int64
}

// openSized opens a regular file of a size that a message can have.
func openSized(name string) (sizedFile, error) {
	return openIn(os.Stat, os.Open, name)
}

// openIn opens name by way of stat and open. It looks before it opens: to open
// a pipe would wait for its other end.
func openIn(stat func(string) (os.FileInfo, error), open func(string) (*os.File, error), name string) (sizedFile, error) {
	info, err := stat(name)
	if err != nil {
		return sizedFile{}, plainPath(err)
	}
	if !info.Mode().IsRegular() {
		return sizedFile{}, errors.New("it is not a file")
	}
	f, err := open(name)
	if err != nil {
		return sizedFile{}, plainPath(err)
	}
	if info, err = f.Stat(); err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a file")
	}
	if err == nil && encodedSize(info.Size()) > MaxMessage {
		err = fmt.Errorf("it is too large for a message (%d MB)", info.Size()>>20)
	}
	if err != nil {
		return sizedFile{}, errors.Join(err, f.Close())
	}
	return sizedFile{f, info.Size()}, nil
}

// plainPath takes the path out of an error, which names it already.
func plainPath(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// freeze stores an open file under its hash and closes it.
func freeze(ctx context.Context, to Freezer, f sizedFile, name string) (a post.Attachment, err error) {
	defer func() { err = errors.Join(err, f.Close()) }()
	first := make([]byte, 512)
	n, err := io.ReadFull(f, first)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return a, err
	}
	first = first[:n]
	if a.Name = name; !strings.Contains(name, "{{") {
		a.Name = CleanFileName(name)
	}
	plain, _ := protect(name) // a tag is no extension
	a.Type = MediaType(plain, first)
	a.SHA256, a.Size, err = to.Put(ctx, io.MultiReader(bytes.NewReader(first), f))
	if err == nil && encodedSize(a.Size) > MaxMessage {
		err = tooLarge(a.Name)
	}
	return a, err
}

// freezeAll returns content with its attachments frozen.
func freezeAll(ctx context.Context, to Freezer, content post.Content) (post.Content, error) {
	frozen := make([]post.Attachment, 0, len(content.Attachments))
	for _, a := range content.Attachments {
		if a.SHA256 != "" {
			a.Path = ""
			frozen = append(frozen, a)
			continue
		}
		f, err := openSized(a.Path)
		if err == nil {
			name := nameSource(&a)
			if name == "" {
				name = literalBraces(filepath.Base(a.Path))
			}
			cid := a.CID
			a, err = freeze(ctx, to, f, name)
			a.CID = cid
		}
		if err != nil {
			return content, freezeError(a.Name, err)
		}
		frozen = append(frozen, a)
	}
	content.Attachments = frozen
	return content, nil
}

func freezeError(name string, err error) error {
	kind := post.KindInternal
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		kind = post.KindNotFound
	}
	return &post.Error{
		Kind: kind, Op: "keep the file " + CleanFileName(name), Message: "it could not be copied", Err: err,
		Reason: post.Reason{Key: "compose.file-unreadable", Args: []string{name}},
	}
}

// rowFiles finds recipients' own files: named by a column, separated by
// semicolons, below one folder that no name and no link leads out of.
type rowFiles struct {
	root   *os.Root
	column fieldRef
	sizes  map[string]int64
	frozen map[string]post.Attachment
}

// openRowFiles opens the folder of content's attachment column.
func openRowFiles(content *post.Content) (*rowFiles, error) {
	if content.AttachRoot == "" {
		return nil, errors.New("choose the folder that the files are in")
	}
	root, err := os.OpenRoot(content.AttachRoot)
	if err != nil {
		return nil, plainPath(err)
	}
	return &rowFiles{
		root:   root,
		column: fieldRef{name: content.AttachColumn, alt: post.FieldName(content.AttachColumn, nil)},
		sizes:  map[string]int64{}, frozen: map[string]post.Attachment{},
	}, nil
}

func (f *rowFiles) close() {
	_ = f.root.Close() // a folder that was only read
}

// names returns the recipient's files, as the cell names them. Sheets written
// on Windows separate folders by backslashes everywhere.
func (f *rowFiles) names(r *post.Recipient) []string {
	var names []string
	for _, n := range strings.Split(lookup(r, &f.column), ";") {
		if n = strings.TrimSpace(n); n != "" {
			names = append(names, path.Clean(strings.ReplaceAll(n, `\`, "/")))
		}
	}
	return names
}

func (f *rowFiles) open(name string) (sizedFile, error) {
	return openIn(f.root.Stat, f.root.Open, filepath.FromSlash(name))
}

// size returns a file's size, having seen that it can be read.
func (f *rowFiles) size(name string) (int64, error) {
	if size, ok := f.sizes[name]; ok {
		return size, nil
	}
	file, err := f.open(name)
	if err != nil {
		return 0, err
	}
	if err := file.Close(); err != nil {
		return 0, err
	}
	f.sizes[name] = file.size
	return file.size, nil
}

// freeze stores the recipient's files that were not stored yet.
func (f *rowFiles) freeze(ctx context.Context, to Freezer, r *post.Recipient) error {
	for _, name := range f.names(r) {
		if _, ok := f.frozen[name]; ok {
			continue
		}
		file, err := f.open(name)
		if err != nil {
			return freezeError(name, err)
		}
		a, err := freeze(ctx, to, file, path.Base(name))
		if err != nil {
			return freezeError(name, err)
		}
		f.frozen[name] = a
	}
	return nil
}

// callAs names the recipient's files as the mailing wants them called. The
// extension stays: it says what the file is.
func (m *Mailing) callAs(files []post.Attachment, vals []string) error {
	if m.ownName == nil {
		return nil
	}
	text, err := m.ownName.appendText(nil, vals)
	if err != nil {
		return tooLong(err)
	}
	stem := CleanFileName(string(text))
	for i := range files {
		name, ext := stem, path.Ext(files[i].Name)
		if len(ext) > 0 && len(ext) <= 20 {
			name = strings.TrimSuffix(name, ext)
		}
		if i > 0 {
			name += " " + strconv.Itoa(i+1)
		}
		files[i].Name = CleanFileName(name + ext)
	}
	return nil
}

// attachments returns the recipient's files as they were frozen; false when
// one of them was not.
func (f *rowFiles) attachments(r *post.Recipient) ([]post.Attachment, bool) {
	names := f.names(r)
	out := make([]post.Attachment, 0, len(names)+len(r.Attachments))
	out = append(out, r.Attachments...)
	for _, name := range names {
		a, ok := f.frozen[name]
		if !ok {
			return nil, false
		}
		out = append(out, a)
	}
	return out, len(names) > 0
}
