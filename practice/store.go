package practice

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"postroom/post"
)

const onWindows = runtime.GOOS == "windows"

const (
	ext = ".eml"
	// Files being written start and end so, and are swept when a day old: a
	// crash left them, and no running trap still writes to them.
	partPrefix, partSuffix = ".catching-", ".part"
	partAge                = 24 * time.Hour

	maxHeader = 256 << 10 // bytes in which a Message-ID is looked for
	maxName   = 80        // bytes of a Message-ID that show in a file name
)

// file is what catch needs of *os.File; tests put a failing disk in its place.
type file interface {
	io.Writer
	Sync() error
	Close() error
}

// store writes caught messages below one folder, which it holds open so that
// no name and no link can lead out of it.
type store struct {
	dir    string
	root   *os.Root
	create func(name string) (file, error)

	mu     sync.Mutex       // the look at a name and the rename to it are one step
	copies map[string]int64 // by file name; only those caught more than once
	closed bool
	active sync.WaitGroup // calls of catch
}

func openStore(dir string) (*store, error) {
	if dir == "" {
		return nil, errors.New("no folder was given")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, err
	}
	s := &store{dir: abs, root: root, copies: make(map[string]int64)}
	s.create = func(name string) (file, error) {
		return root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	}
	if err := s.sweep(); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return s, nil
}

// close waits for messages being stored, refuses later ones, and lets go of
// the folder.
func (s *store) close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.active.Wait()
	return s.root.Close()
}

func (s *store) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.active.Add(1)
	return true
}

// sweep removes what a crash left half written.
func (s *store) sweep() error {
	old, err := fs.Glob(s.root.FS(), partPrefix+"*"+partSuffix)
	if err != nil {
		return err
	}
	for _, name := range old {
		if fi, err := s.root.Lstat(name); err != nil || time.Since(fi.ModTime()) < partAge {
			continue
		}
		if err := s.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// readError says that it was the client's side that broke, not the disk.
type readError struct{ err error }

func (e *readError) Error() string { return "reading the message: " + e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// catch stores one message as it comes and returns its file's name. When it
// returns an error nothing is left in the folder.
func (s *store) catch(r io.Reader) (name string, err error) {
	if !s.enter() {
		return "", fs.ErrClosed
	}
	defer s.active.Done()
	part := partPrefix + rand.Text() + partSuffix
	f, err := s.create(part)
	if err != nil {
		return "", fmt.Errorf("creating a file: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.discard(part))
		}
	}()
	var head headBuffer
	err = copyMessage(f, io.TeeReader(r, &head))
	if cerr := f.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("closing the file: %w", cerr)
	}
	if err != nil {
		return "", err
	}
	name = fileName(findMessageID(head.b))
	return name, s.place(part, name)
}

// place gives a complete file its name, replacing an earlier copy, and counts.
func (s *store) place(part, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.root.Lstat(name)
	again := err == nil
	if err := s.root.Rename(part, name); err != nil {
		return fmt.Errorf("naming the file: %w", err)
	}
	if again {
		s.copies[name] = max(s.copies[name], 1) + 1
	}
	return nil
}

func (s *store) count(name string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(s.copies[name], 1)
}

func (s *store) discard(part string) error {
	if err := s.root.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func copyMessage(f file, r io.Reader) error {
	w := bufio.NewWriterSize(f, 64<<10)
	buf := make([]byte, 32<<10)
	for {
		n, rerr := r.Read(buf)
		if _, err := w.Write(buf[:n]); err != nil {
			return fmt.Errorf("writing the file: %w", err)
		}
		if errors.Is(rerr, io.EOF) {
			break
		}
		if rerr != nil {
			return &readError{rerr}
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("writing the file: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("flushing the file: %w", err)
	}
	return nil
}

// headBuffer keeps the first maxHeader bytes and swallows the rest.
type headBuffer struct{ b []byte }

func (h *headBuffer) Write(p []byte) (int, error) {
	if room := maxHeader - len(h.b); room > 0 {
		h.b = append(h.b, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

// findMessageID returns the first Message-ID of a header, unfolded (RFC 5322
// 2.2.3), or "".
func findMessageID(head []byte) string {
	const field = "message-id:"
	for len(head) > 0 {
		line, rest, _ := bytes.Cut(head, []byte("\n"))
		if len(bytes.TrimRight(line, "\r")) == 0 {
			return "" // the header ends here
		}
		if len(line) < len(field) || !strings.EqualFold(string(line[:len(field)]), field) {
			head = rest
			continue
		}
		value := line[len(field):]
		for len(rest) > 0 && (rest[0] == ' ' || rest[0] == '\t') {
			line, rest, _ = bytes.Cut(rest, []byte("\n"))
			value = append(value[:len(value):len(value)], line...)
		}
		return strings.TrimSpace(strings.Map(dropLineEnds, string(value)))
	}
	return ""
}

func dropLineEnds(r rune) rune {
	if r == '\r' || r == '\n' {
		return -1
	}
	return r
}

// Path returns where the message of a Message-ID (with or without angle
// brackets) lies once it is caught: DIR, then the readable part of the id's
// local part, a dash and eight digits of a hash over the whole id. The hash
// keeps two ids apart that differ only in what a file name cannot show, such
// as letter case, their domain, or characters that were replaced.
func Path(dir, messageID string) string { return filepath.Join(dir, fileName(messageID)) }

// fileName is Path without the folder. Without an id it is a new name each time.
func fileName(messageID string) string {
	id := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(messageID), "<"), ">")
	if id == "" {
		return "no-message-id-" + strings.ToLower(rand.Text()) + ext
	}
	local := id
	if at := strings.LastIndexByte(id, '@'); at >= 0 {
		local = id[:at]
	}
	name := []byte(local[:min(len(local), maxName)])
	for i, c := range name {
		safe := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' && i > 0
		if !safe {
			name[i] = '_'
		}
	}
	sum := sha256.Sum256([]byte(id))
	return string(name) + "-" + hex.EncodeToString(sum[:4]) + ext
}

// SaveAs copies a caught message to dst, to the byte, with mode 0600: written
// beside dst, flushed, renamed. What stood at dst is replaced only by a whole
// file. The error is a *post.Error.
func SaveAs(path, dst string) error {
	if err := saveAs(path, dst); err != nil {
		return &post.Error{
			Kind: post.KindInternal, Op: "save the message", Message: "the file could not be written",
			Reason: post.Reason{Key: "practice.save", Args: []string{filepath.Base(dst)}}, Err: err,
		}
	}
	return nil
}

func saveAs(path, dst string) (err error) {
	src, err := os.Open(path)
	if err != nil {
		return err
	}
	defer src.Close()
	f, err := os.CreateTemp(filepath.Dir(dst), partPrefix+"*"+partSuffix) // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // the first error is the one to tell
		}
	}()
	err = copyMessage(f, src)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), dst)
}
